"""Agreement of two spaces close by: whether clips have the same neighbours in both."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int32, Int64
from numpy import ndarray

from polyspace.errors import MetricError
from polyspace.metrics import spaces

K = 10
"""Neighbours that are looked at. Source: Huh et al. (arXiv 2405.07987)."""

UNDEFINED = (
    "CKNNA of {clips} clips, k={k}: the neighbours in one space don't even agree with themselves, "
    "as where nothing is near: compare more clips"
)

Edges = tuple[Int64[ndarray, " edge"], Int64[ndarray, " edge"], Int64[ndarray, " edge"]]


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Every clip's k nearest others in one space."""

    places: Int32[ndarray, "clip k"]
    """In no order."""
    cosines: Float64[ndarray, "clip k"]

    own: float
    """Alignment of the space with itself, which `cknna` divides by."""

    def shuffled(self, order: Int64[ndarray, " clip"]) -> "Neighbours":
        """Give the neighbours that clips would have if they stood in another order."""
        moved = np.empty(len(order), np.int32)
        moved[order] = np.arange(len(order), dtype=np.int32)
        return Neighbours(moved[self.places[order]], self.cosines[order], self.own)


def unit(vectors: Float[ndarray, "clip dim"]) -> Float64[ndarray, "clip dim"]:
    """Bring vectors to length one; those that are 0 stay, so that their cosines are 0."""
    wide = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    lengths[lengths == 0] = 1
    wide /= lengths
    return wide


def nearest(
    vectors: Float[ndarray, "clip dim"], *, k: int = K, name: str = "a space"
) -> Neighbours:
    """Find every clip's nearest others by cosine, as the vectors are: not centred.

    Raises:
        MetricError: Fewer than k + 1 clips, values that aren't numbers, or no variance.
    """
    spaces.check(vectors, least=max(k + 1, 4), name=name)
    units = unit(spaces.compact(vectors))
    places = np.empty((len(units), k), np.int32)
    cosines = np.empty((len(units), k))
    for rows in spaces.blocks(len(units)):
        products = units[rows] @ units.T
        products[np.arange(len(products)), np.arange(rows.start, rows.stop)] = -np.inf
        found = torch.from_numpy(products).topk(k, dim=1, sorted=False)
        places[rows], cosines[rows] = found.indices.numpy(), found.values.numpy()
    each, flat = np.repeat(np.arange(len(units)), k), cosines.ravel()
    own = _unbiased(flat, flat, each, places.ravel().astype(np.int64), len(units))
    return Neighbours(places, cosines, own)


def mutual_knn(first: Neighbours, second: Neighbours) -> float:
    """Give the share of a clip's neighbours in one space that are its neighbours in the other, too.

    k / (clips - 1) for spaces that share nothing.

    Raises:
        MetricError: Other clips, or another k.

    Source: Huh et al. (arXiv 2405.07987), equation 11.
    """
    return both(first, second)[0]


def cknna(first: Neighbours, second: Neighbours) -> float:
    """Give CKA that looks at shared neighbours only: centred kernel nearest-neighbour alignment.

    Raises:
        MetricError: Other clips, another k, or a space whose neighbours don't even agree with
            themselves, as where all clips are at right angles.

    Source: Huh et al. (arXiv 2405.07987), equations 12 to 15, and their `metrics.py`: kernels of
    cosines, masked by the shared neighbours, under the unbiased HSIC of Song et al. (2012). Their
    1e-6 beside the denominator is left out.
    """
    found = both(first, second)[1]
    if found is None:
        raise MetricError(UNDEFINED.format(clips=len(first.places), k=first.places.shape[1]))
    return found


def both(first: Neighbours, second: Neighbours) -> tuple[float, float | None]:
    """Give `mutual_knn` and `cknna` at once; None for the latter instead of its own error.

    Raises:
        MetricError: Other clips, or another k.
    """
    rows, left, right = _shared(first, second)
    mutual = len(rows) / first.places.size
    if min(first.own, second.own) <= 0:
        return mutual, None
    kernels = first.cosines[rows, left], second.cosines[rows, right]
    columns = first.places[rows, left].astype(np.int64)
    found = _unbiased(*kernels, rows, columns, len(first.places))
    return mutual, found / (first.own * second.own) ** 0.5


def _shared(first: Neighbours, second: Neighbours) -> Edges:
    """Find the neighbours that a clip has in both: clip, and their columns in either table."""
    if first.places.shape != second.places.shape:
        raise MetricError(
            f"neighbours of {first.places.shape} clips and k, and of {second.places.shape}: "
            f"compare the same clips with the same k"
        )
    k = first.places.shape[1]
    found = [
        np.flatnonzero(first.places[rows, :, None] == second.places[rows, None])
        + rows.start * k * k
        for rows in spaces.blocks(len(first.places))
    ]
    rows, columns = np.divmod(np.concatenate(found), k * k)
    return rows, *np.divmod(columns, k)


def _unbiased(
    first: Float64[ndarray, " edge"],
    second: Float64[ndarray, " edge"],
    rows: Int64[ndarray, " edge"],
    columns: Int64[ndarray, " edge"],
    clips: int,
) -> float:
    """Give Song's estimate of HSIC (equation 5), times ``clips (clips - 3)``.

    Args:
        first: What one kernel holds at the edges; it is 0 elsewhere, as is the other.
        second: What the other holds there.
        rows: First clip of each edge; no edge is there twice.
        columns: Second clip of each.
        clips: How many there are.
    """
    order = np.argsort(rows * clips + columns)
    at, back = (rows * clips + columns)[order], columns * clips + rows
    found = np.searchsorted(at, back).clip(max=len(at) - 1)
    mutual = at[found] == back
    trace = float(first[mutual] @ second[order[found[mutual]]])
    sums = float(first.sum() * second.sum())
    mixed = float(np.bincount(columns, first, clips) @ np.bincount(rows, second, clips))
    return trace + sums / ((clips - 1) * (clips - 2)) - 2 * mixed / (clips - 2)

"""What agreement would be by chance: measured again with the clips of one space shuffled."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from polyspace.metrics import neighbours
from polyspace.metrics.neighbours import Neighbours


@dataclass(frozen=True)
class Null:
    """Agreement of spaces whose clips don't belong together."""

    mean: float
    p95: float
    """95th percentile."""
    p: float
    """One-sided, of what was found being no more; at least ``1 / (permutations + 1)``."""
    permutations: int
    clips: int
    """That were shuffled; what was found is measured on the same ones for `p`."""


def null(found: float, by_chance: Iterable[float], *, clips: int) -> Null:
    """Describe what was found by chance.

    Source: Phipson & Smyth (2010) for the added one.
    """
    values = np.fromiter(by_chance, np.float64)
    return Null(
        mean=float(values.mean()),
        p95=float(np.percentile(values, 95)),
        p=(1 + int((values >= found).sum())) / (1 + len(values)),
        permutations=len(values),
        clips=clips,
    )


def of_kernels(
    first: Float64[ndarray, "clip clip"],
    second: Float64[ndarray, "clip clip"],
    *,
    permutations: int,
    random: np.random.Generator,
) -> Null:
    """Shuffle one of two kernels that `kernels.centred_gram` gave: chance of the unbiased CKA."""
    clips = len(first)
    flat = first.ravel()
    orders = (random.permutation(clips) for _ in range(permutations))
    # Not second[np.ix_(order, order)], which takes twice as long.
    shuffled = (float(flat @ second[order].take(order, axis=1).ravel()) for order in orders)
    return null(float(flat @ second.ravel()), shuffled, clips=clips)


def of_neighbours(
    first: Neighbours, second: Neighbours, *, permutations: int, random: np.random.Generator
) -> tuple[Null, Null | None]:
    """Shuffle one of two lists of neighbours.

    Returns:
        Chance of the mutual k-NN, and of CKNNA, from the same shuffles; None where that has none.

    Raises:
        MetricError: See `neighbours.both`.
    """
    clips = len(first.places)
    found, found_local = neighbours.both(first, second)
    shuffled = [
        neighbours.both(first, second.shuffled(random.permutation(clips)))
        for _ in range(permutations)
    ]
    mutual = null(found, [each for each, _ in shuffled], clips=clips)
    local = [each for _, each in shuffled if each is not None]
    if found_local is None:
        return mutual, None
    return mutual, null(found_local, local, clips=clips)

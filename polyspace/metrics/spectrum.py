"""How many dimensions of a space are in use."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int64
from numpy import ndarray

from polyspace.metrics import spaces

EXACT = 2048
"""Side of the largest problem that is solved whole: of more clips and dimensions, so many clips."""
SHARE = 0.99
"""Variance that the kept components hold. Source: Raghu et al. (arXiv 1706.05806)."""
EPSILON = 1e-7
"""Added to each share of a singular value. Source: Garrido et al. (arXiv 2210.02885)."""


@dataclass(frozen=True)
class Ranks:
    """Figures of how many dimensions are in use: 1 to the smaller of dimensions and clips."""

    rankme: float
    """Of the vectors as they are, so that their mean counts as a direction."""
    effective_rank: float
    """Of the centred vectors: the exponential of the entropy of their singular values."""
    participation_ratio: float
    """Of the centred vectors: the squared sum of the components' variances over their squares."""
    components: int
    """Principal components that hold 99 % of the variance."""
    clips: int
    """That these were measured on: 2,048 where there are more clips and more dimensions."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """A space's centred vectors, decomposed: ``U @ diag(values) @ axes``."""

    vectors: Float[ndarray, "clip dim"]
    """Not centred; rotated where dimensions were more than clips."""
    values: Float64[ndarray, " rank"]
    axes: Float64[ndarray, "rank dim"]

    @classmethod
    def of(cls, vectors: Float[ndarray, "clip _"], *, name: str = "a space") -> "Spectrum":
        """Decompose a space.

        Args:
            vectors: Of more than 2,048 clips and dimensions: only the `solvable` clips.
            name: What the space is called in messages.

        Raises:
            MetricError: No two clips, values that aren't numbers, or the same vector for all clips.
        """
        spaces.check(vectors, least=2, name=name)
        compact = spaces.compact(vectors)
        _, values, axes = np.linalg.svd(_upper(compact), full_matrices=False)
        return cls(compact, values, axes)

    @property
    def kept(self) -> int:
        """Count the components, the strongest first, that it takes for 99 % of the variance."""
        variances = np.square(self.values).cumsum()
        return int(np.searchsorted(variances, SHARE * variances[-1])) + 1

    @property
    def ranks(self) -> Ranks:
        """Give the figures.

        Source: Garrido et al. (arXiv 2210.02885), RankMe; Roy & Vetterli (2007), effective rank;
        Gao et al. (2017), participation ratio.
        """
        variances = np.square(self.values)
        return Ranks(
            rankme=_entropic(self._uncentred(), EPSILON),
            effective_rank=_entropic(self.values, 0.0),
            participation_ratio=float(variances.sum() ** 2 / np.square(variances).sum()),
            components=self.kept,
            clips=len(self.vectors),
        )

    def _uncentred(self) -> Float64[ndarray, " rank"]:
        """Give the singular values before centring.

        One row more undoes it: ``x.T @ x = centred.T @ centred + clips * mean * mean.T``.
        """
        shift = len(self.vectors) ** 0.5 * spaces.mean(self.vectors)[None]
        return np.linalg.svd(
            np.concatenate([self.values[:, None] * self.axes, shift]), compute_uv=False
        )


def ranks(vectors: Float[ndarray, "clip dim"], *, name: str = "a space") -> Ranks:
    """Measure how many dimensions of a space are in use; see `Spectrum.ranks`.

    Raises:
        MetricError: No two clips, values that aren't numbers, or the same vector for all clips.
    """
    return Spectrum.of(vectors[solvable([vectors.shape])], name=name).ranks


def solvable(shapes: Iterable[tuple[int, ...]]) -> Int64[ndarray, " chosen"]:
    """Choose clips that spaces of these sizes can be solved on: all, where that is feasible."""
    sizes = list(shapes)
    clips = sizes[0][0]
    most = EXACT if any(min(size) > EXACT for size in sizes) else clips
    return spaces.spread(clips, most)


def _upper(vectors: Float[ndarray, "clip dim"]) -> Float64[ndarray, "_ dim"]:
    """Give few rows whose products are those of the centred vectors."""
    middle = spaces.mean(vectors)
    size = max(spaces.BLOCK, vectors.shape[1])
    return spaces.triangle(vectors[rows] - middle for rows in spaces.blocks(len(vectors), size))


def _entropic(values: Float64[ndarray, " rank"], epsilon: float) -> float:
    shares = values / values.sum() + epsilon
    seen = shares[shares > 0]
    return float(np.exp(-(seen * np.log(seen)).sum()))

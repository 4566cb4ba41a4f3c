"""Agreement of two spaces as a whole: centred kernel alignment (CKA) of linear kernels.

Kernels are clips times clips and never made: their products are those of dimensions.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64
from numpy import ndarray

from polyspace.metrics import spaces

LEAST = 4
"""Clips that the unbiased estimate needs."""


@dataclass(frozen=True, eq=False)
class Kernel:
    """A linear kernel, by the vectors that it is made of."""

    vectors: Float[ndarray, "clip dim"]
    squares: Float64[ndarray, " clip"]
    """Diagonal of the centred kernel."""
    own: float
    """Squared Frobenius norm of the centred kernel."""

    @classmethod
    def of(cls, vectors: Float[ndarray, "clip dim"], *, name: str = "a space") -> "Kernel":
        """Prepare what every comparison with a space needs.

        Raises:
            MetricError: Fewer than four clips, values that aren't numbers, or no variance.
        """
        spaces.check(vectors, least=LEAST, name=name)
        compact = spaces.compact(vectors)
        squares = spaces.squares(compact, spaces.mean(compact))
        return cls(compact, squares, _products(compact, compact))


def cka(first: Kernel, second: Kernel) -> tuple[float, float]:
    """Give linear CKA, as it was published and unbiased.

    The published one is from 0 to 1, and far above 0 for unrelated spaces where dimensions are many
    for the clips. The unbiased one is around 0 for those, and so can be below.

    Returns:
        The biased and the unbiased one.

    Raises:
        MetricError: Other clips.

    Source: Kornblith et al. (arXiv 1905.00414), equations 3 and 4; Nguyen et al. (arXiv
    2010.15327), equation 3, after Song et al. (2012).
    """
    spaces.check_pair(first.vectors, second.vectors)
    shared = _products(first.vectors, second.vectors)
    biased = shared / (first.own * second.own) ** 0.5
    own = _unbiased(first, first, first.own) * _unbiased(second, second, second.own)
    return biased, _unbiased(first, second, shared) / own**0.5


def centred_gram(vectors: Float[ndarray, "clip dim"]) -> Float64[ndarray, "clip clip"]:
    """Give the kernel, U-centred and of length one: products of two are the unbiased CKA.

    For few clips only. Shuffling a space's clips shuffles its rows and columns alike.

    Source: Székely & Rizzo (2014), U-centring, whose inner product is Song's estimate.
    """
    centred = vectors - spaces.mean(vectors)
    kernel = centred @ centred.T
    np.fill_diagonal(kernel, 0)
    clips = len(kernel)
    rows = kernel.sum(axis=0) / (clips - 2)
    kernel += rows.sum() / (clips - 1) - rows[:, None] - rows
    np.fill_diagonal(kernel, 0)
    return kernel / np.linalg.norm(kernel)


def _products(first: Float[ndarray, "clip dim"], second: Float[ndarray, "clip other_dim"]) -> float:
    """Sum up the squares of ``x.T @ y``: the inner product of the centred kernels."""
    return sum(float(np.square(product).sum()) for _, product in spaces.cross(first, second))


def _unbiased(first: Kernel, second: Kernel, shared: float) -> float:
    """Give Song's estimate of HSIC, times ``clips (clips - 3)``.

    Equation 5 with centred vectors, whose kernels' rows without the diagonal sum up to its
    negative.
    """
    clips = len(first.squares)
    diagonal = float(first.squares @ second.squares)
    sums = float(first.squares.sum() * second.squares.sum())
    return shared - diagonal * clips / (clips - 2) + sums / ((clips - 1) * (clips - 2))

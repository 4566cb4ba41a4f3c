"""Linear maps between feature spaces, solved from sums that one pass over the clips collects."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from polyspace.models.moments import RunningMoments

RIDGE_STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
"""Tried by `ridge`, as shares of the inputs' mean variance."""

Pair = tuple[Float32[Tensor, "*token wide"], Float32[Tensor, "*token dim"]]
"""Inputs and targets of the same tokens."""


@dataclass(frozen=True)
class Moments:
    """Means of inputs x and targets y, and sums of products of their deviations from them."""

    count: int
    x: Float64[Tensor, " wide"]
    y: Float64[Tensor, " dim"]
    xx: Float64[Tensor, "wide wide"]
    xy: Float64[Tensor, "wide dim"]
    yy: Float64[Tensor, ""]
    """Squares only, over all dimensions."""


@dataclass(frozen=True)
class Affine:
    """The map ``y = x @ weight + bias``."""

    weight: Float64[Tensor, "wide dim"]
    bias: Float64[Tensor, " dim"]


def collect(pairs: Iterable[Pair], *, wide: int) -> Moments:
    """Add up the moments of all pairs; memory depends on the dimensions alone."""
    both, targets = RunningMoments(partial(_with_inputs, wide=wide)), RunningMoments(_energy)
    for x, y in pairs:
        both.add(torch.cat([x, y], dim=-1).cpu())
        targets.add(y.cpu())
    return Moments(
        count=both.count,
        x=both.mean[:wide],
        y=both.mean[wide:],
        xx=both.sums[:, :wide],
        xy=both.sums[:, wide:],
        yy=targets.sums,
    )


def mean(moments: Moments) -> Affine:
    """Give the map that ignores its input: the floor that every converter must beat."""
    return Affine(torch.zeros_like(moments.xy), moments.y)


def ridge(moments: Moments, held_out: Moments) -> Affine:
    """Solve regularised least squares with the strength that does best on held-out tokens.

    Source: Hoerl & Kennard (1970), equation 2.1, on centred moments.
    """
    variance = moments.xx.diagonal().mean()
    maps = [_solve_ridge(moments, float(strength * variance)) for strength in RIDGE_STRENGTHS]
    return min(maps, key=lambda fit: float(squared_error(fit, held_out)))


def ols(moments: Moments) -> Affine:
    """Solve least squares without regularisation; of equal solutions, the smallest.

    Source: Legendre (1805); Penrose (1956) for the smallest.
    """
    inverse = torch.linalg.pinv(moments.xx, rtol=1e-6, hermitian=True)
    return _through_means(inverse @ moments.xy, moments)


def low_rank(moments: Moments, held_out: Moments, *, rank: int) -> Affine:
    """Keep those directions of what ridge predicts in which it predicts most.

    Source: Izenman (1975), theorem 1, reduced-rank regression; Mukherjee & Zhu (2011), with ridge.
    """
    weight = ridge(moments, held_out).weight
    _, directions = torch.linalg.eigh(weight.T @ moments.xx @ weight)
    kept = directions[:, -rank:]
    return _through_means(weight @ kept @ kept.T, moments)


def orthogonal(moments: Moments) -> Affine:
    """Find the best map with orthonormal rows or columns: it turns, and keeps all sizes.

    Source: Schönemann (1966).
    """
    left, _, right = torch.linalg.svd(moments.xy, full_matrices=False)
    return _through_means(left @ right, moments)


def procrustes(moments: Moments) -> Affine:
    """Find the best scaled map with orthonormal rows or columns, whichever are fewer.

    From wider inputs to narrower targets it is the best only where the inputs are uncorrelated;
    beyond that there is no closed form.

    Source: Schönemann (1966) for the rotation, Gower & Dijksterhuis (2004), 4.1 for the scale.
    """
    left, strengths, right = torch.linalg.svd(moments.xy, full_matrices=False)
    rotation = left @ right
    return _through_means(rotation * (strengths.sum() / _energy_of(rotation, moments)), moments)


def squared_error(fit: Affine, moments: Moments) -> Float64[Tensor, ""]:
    """Give the sum of squared errors of a map over the tokens that the moments are of."""
    against = (fit.weight * moments.xy).sum()
    offset = moments.x @ fit.weight + fit.bias - moments.y
    around_means = moments.yy - 2 * against + _energy_of(fit.weight, moments)
    return around_means + moments.count * offset.square().sum()


def _solve_ridge(moments: Moments, strength: float) -> Affine:
    scatter = moments.xx.clone()
    scatter.diagonal().add_(strength)
    return _through_means(torch.linalg.solve(scatter, moments.xy), moments)


def _energy_of(weight: Tensor, moments: Moments) -> Float64[Tensor, ""]:
    """Give the sum of squares of what a matrix makes of the inputs' deviations."""
    return torch.einsum("wd,wv,vd->", weight, moments.xx, weight)


def _through_means(weight: Tensor, moments: Moments) -> Affine:
    """Choose the bias that maps the inputs' mean to the targets'."""
    return Affine(weight, moments.y - moments.x @ weight)


def _with_inputs(
    deviations: Float64[Tensor, "token both"], wide: int
) -> Float32[Tensor, "wide both"]:
    """Multiply the inputs with inputs and targets, in float32: they are standardised."""
    both = deviations.float()
    return both[:, :wide].T @ both


def _energy(deviations: Float64[Tensor, "token dim"]) -> Float64[Tensor, ""]:
    return deviations.square().sum()

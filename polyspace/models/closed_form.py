"""Linear maps between feature spaces, solved from sums that one pass over the clips collects."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float32, Float64
from torch import Tensor

RIDGE_STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
"""Tried by `ridge`, as shares of the inputs' mean variance."""

Pair = tuple[Float32[Tensor, "*token wide"], Float32[Tensor, "*token dim"]]
"""Inputs and targets of the same tokens."""


@dataclass(frozen=True)
class Moments:
    """Uncentred second moments of inputs x and targets y, and how many tokens they are of."""

    count: int
    x: Float64[Tensor, " wide"]
    y: Float64[Tensor, " dim"]
    xx: Float64[Tensor, "wide wide"]
    xy: Float64[Tensor, "wide dim"]
    yy: Float64[Tensor, ""]
    """Sum of the targets' squares over all dimensions."""


@dataclass(frozen=True)
class Affine:
    """The map ``y = x @ weight + bias``."""

    weight: Float64[Tensor, "wide dim"]
    bias: Float64[Tensor, " dim"]


def collect(pairs: Iterable[Pair], *, wide: int, dim: int) -> Moments:
    """Add up the moments of all pairs; memory depends on the dimensions alone."""
    count, yy = 0, torch.zeros((), dtype=torch.float64)
    x_sum, y_sum = torch.zeros(wide, dtype=yy.dtype), torch.zeros(dim, dtype=yy.dtype)
    xx, xy = torch.zeros(wide, wide, dtype=yy.dtype), torch.zeros(wide, dim, dtype=yy.dtype)
    for inputs, targets in pairs:
        x, y = inputs.flatten(0, -2).cpu(), targets.flatten(0, -2).cpu()
        count += len(x)
        x_sum += x.sum(0, dtype=yy.dtype)
        y_sum += y.sum(0, dtype=yy.dtype)
        # One batch is multiplied in float32 and added in float64: the inputs are standardised.
        xx += x.T @ x
        xy += x.T @ y
        yy += y.square().sum(dtype=yy.dtype)
    return Moments(count=count, x=x_sum, y=y_sum, xx=xx, xy=xy, yy=yy)


def mean(moments: Moments) -> Affine:
    """Give the map that ignores its input: the floor that every converter must beat."""
    return Affine(torch.zeros_like(moments.xy), moments.y / moments.count)


def ridge(moments: Moments, held_out: Moments) -> Affine:
    """Solve regularised least squares with the strength that does best on held-out tokens.

    Source: Hoerl & Kennard (1970), equation 2.1, on centred moments.
    """
    variance = _centred(moments).diagonal().mean()
    maps = [_solve_ridge(moments, float(strength * variance)) for strength in RIDGE_STRENGTHS]
    return min(maps, key=lambda fit: float(squared_error(fit, held_out)))


def procrustes(moments: Moments) -> Affine:
    """Find the best scaled map with orthonormal rows or columns, whichever are fewer.

    From wider inputs to narrower targets it is the best only where the inputs are uncorrelated;
    beyond that there is no closed form.

    Source: Schönemann (1966) for the rotation, Gower & Dijksterhuis (2004), 4.1 for the scale.
    """
    cross = moments.xy - torch.outer(moments.x, moments.y) / moments.count
    left, strengths, right = torch.linalg.svd(cross, full_matrices=False)
    rotation = left @ right
    energy = torch.einsum("wd,wv,vd->", rotation, _centred(moments), rotation)
    return _through_means(rotation * (strengths.sum() / energy), moments)


def squared_error(fit: Affine, moments: Moments) -> Float64[Tensor, ""]:
    """Give the sum of squared errors of a map over the tokens that the moments are of."""
    weight, bias, count = fit.weight, fit.bias, moments.count
    predicted = torch.einsum("wd,wv,vd->", weight, moments.xx, weight)
    offset = 2 * moments.x @ weight @ bias + count * bias @ bias
    against = (weight * moments.xy).sum() + bias @ moments.y
    return moments.yy - 2 * against + predicted + offset


def _solve_ridge(moments: Moments, strength: float) -> Affine:
    scatter = _centred(moments)
    scatter.diagonal().add_(strength)
    cross = moments.xy - torch.outer(moments.x, moments.y) / moments.count
    return _through_means(torch.linalg.solve(scatter, cross), moments)


def _centred(moments: Moments) -> Float64[Tensor, "wide wide"]:
    return moments.xx - torch.outer(moments.x, moments.x) / moments.count


def _through_means(weight: Tensor, moments: Moments) -> Affine:
    """Choose the bias that maps the inputs' mean to the targets'."""
    return Affine(weight, (moments.y - moments.x @ weight) / moments.count)

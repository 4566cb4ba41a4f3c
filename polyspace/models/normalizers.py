"""Normalisation of features: fitted on training clips only, invertible, saved with the model.

All have one interface: `mean`, calling, which normalises, and `inverse`, which leads back.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float32, Float64
from torch import Tensor, nn

from polyspace.errors import ConfigError
from polyspace.models.hadamard import base_of, hadamard
from polyspace.models.moments import Products, RunningMoments, outer, squares

NormalizerKind = Literal["none", "per_dimension", "isotropic", "phi_s", "pca_whitening"]
"""none: as they come. per_dimension: each dimension by its own deviation. isotropic: all by one.
phi_s: rotated so that all dimensions vary alike, then by one. pca_whitening: each principal
component by its own deviation, shrunk towards the mean one."""

SHRINKAGE = 0.1
"""Share of the mean variance in what pca_whitening divides by."""

FLOOR = 1e-2
"""Least that is divided by, as a share of the typical deviation."""


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of each dimension, over all tokens of all clips."""

    mean: Float64[Tensor, " dim"]
    std: Float64[Tensor, " dim"]
    count: int
    """Tokens that they were computed from."""


def measure(batches: Iterable[Float32[Tensor, "... dim"]]) -> Statistics:
    """Compute mean and standard deviation in one pass, in float64.

    Raises:
        ConfigError: There are no tokens.
    """
    moments = _collect(batches, squares)
    std = (moments.sums / moments.count).sqrt()
    return Statistics(mean=moments.mean, std=std, count=moments.count)


class Unchanged(nn.Module):
    """Features as they come; the mean is remembered only to measure variance around it."""

    mean: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))

    @classmethod
    def of(cls, statistics: Statistics) -> "Unchanged":
        """Remember the mean."""
        normalizer = cls(len(statistics.mean))
        normalizer.mean.copy_(statistics.mean)
        return normalizer

    def forward(self, values: Float32[Tensor, "*token dim"]) -> Float32[Tensor, "*token dim"]:
        """Give the features themselves."""
        return values

    def inverse(self, values: Float32[Tensor, "*token dim"]) -> Float32[Tensor, "*token dim"]:
        """Give the features themselves."""
        return values


class Standardizer(nn.Module):
    """Per-dimension standardisation, ``(x - mean) / std``, and its inverse.

    Dimensions that hardly vary are divided by a small share of the typical deviation instead of
    their own, so that they stay small rather than become noise of unit size.

    Source: Theia (arXiv 2407.20179) and DUNE standardise their teachers so before any loss.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))

    @classmethod
    def of(cls, statistics: Statistics, *, floor: float = FLOOR) -> "Standardizer":
        """Make the standardizer that belongs to measured statistics."""
        normalizer = cls(len(statistics.mean))
        least = floor * float(statistics.std.median()) or 1.0
        normalizer.mean.copy_(statistics.mean)
        normalizer.std.copy_(statistics.std.clamp(min=least))
        return normalizer

    @classmethod
    def isotropic(cls, statistics: Statistics) -> "Standardizer":
        """Divide all dimensions by one deviation, so that their proportions stay."""
        normalizer = cls(len(statistics.mean))
        normalizer.mean.copy_(statistics.mean)
        normalizer.std.fill_(float(statistics.std.square().mean().sqrt()) or 1.0)
        return normalizer

    def forward(self, values: Float32[Tensor, "*token dim"]) -> Float32[Tensor, "*token dim"]:
        """Bring features to mean 0 and standard deviation 1."""
        return (values - self.mean) / self.std

    def inverse(self, values: Float32[Tensor, "*token dim"]) -> Float32[Tensor, "*token dim"]:
        """Bring standardised features back to their own space."""
        return values * self.std + self.mean


class Rotated(nn.Module):
    """Standardisation after a rotation: ``((x - mean) @ rotation) / std``, and its inverse."""

    mean: Tensor
    rotation: Tensor
    std: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("rotation", torch.eye(dim))
        self.register_buffer("std", torch.ones(dim))

    @classmethod
    def phi_s(cls, mean: Float64[Tensor, " dim"], covariance: Tensor) -> "Rotated":
        """Turn principal components by a Hadamard matrix: every dimension gets the mean variance.

        One scalar then makes all variances 1, so a squared error means the same here and in the
        teacher's own space, up to that scalar, and no dimension rules a loss.

        Raises:
            ConfigError: There is no Hadamard matrix of that order.

        Source: Ranzinger et al., PHI-S (arXiv 2410.01680), section 3.
        """
        variances, components = _principal(covariance)
        turn = hadamard(len(mean)) / len(mean) ** 0.5
        deviation = float(variances.mean().sqrt()) or 1.0
        return cls._of(mean, components @ turn.T, torch.full_like(mean, deviation))

    @classmethod
    def whitened(
        cls, mean: Float64[Tensor, " dim"], covariance: Tensor, *, shrinkage: float
    ) -> "Rotated":
        """Divide each principal component by its own deviation, shrunk towards the mean one.

        Without shrinkage, components that are hardly more than noise would count as much as others.

        Source: Kessy et al. (arXiv 1512.00809), PCA whitening; Ledoit & Wolf (2004), equation 14,
        for the shrunk covariance, with a share that is given instead of estimated.
        """
        variances, components = _principal(covariance)
        typical = variances.mean()
        shrunk = (1 - shrinkage) * variances + shrinkage * typical
        least = FLOOR * float(typical.sqrt()) or 1.0
        return cls._of(mean, components, shrunk.sqrt().clamp(min=least))

    @classmethod
    def _of(cls, mean: Tensor, rotation: Tensor, std: Tensor) -> "Rotated":
        normalizer = cls(len(mean))
        normalizer.mean.copy_(mean)
        normalizer.rotation.copy_(rotation)
        normalizer.std.copy_(std)
        return normalizer

    def forward(self, values: Float32[Tensor, "*token dim"]) -> Float32[Tensor, "*token dim"]:
        """Bring features to mean 0 and, but for what was shrunk, standard deviation 1."""
        with torch.autocast(values.device.type, enabled=False):
            return (values - self.mean) @ self.rotation / self.std

    def inverse(self, values: Float32[Tensor, "*token dim"]) -> Float32[Tensor, "*token dim"]:
        """Bring normalised features back to their own space."""
        with torch.autocast(values.device.type, enabled=False):
            return (values * self.std) @ self.rotation.T + self.mean


Normalizer = Unchanged | Standardizer | Rotated


def blank(kind: NormalizerKind, dim: int) -> Normalizer:
    """Make a normalizer that changes nothing yet, for the state of one that was fitted.

    Raises:
        ConfigError: phi_s has no Hadamard matrix for that many dimensions.
    """
    if kind == "none":
        return Unchanged(dim)
    if kind in ("per_dimension", "isotropic"):
        return Standardizer(dim)
    if kind == "phi_s":
        base_of(dim)
    return Rotated(dim)


def fit(
    kind: NormalizerKind,
    batches: Iterable[Float32[Tensor, "... dim"]],
    *,
    shrinkage: float = SHRINKAGE,
) -> Normalizer:
    """Fit a normalizer in one pass, in float64; memory depends on the dimensions alone.

    Raises:
        ConfigError: There are no tokens, or no Hadamard matrix that phi_s could turn them by.
    """
    if kind in ("phi_s", "pca_whitening"):
        moments = _collect(batches, outer)
        covariance = moments.sums / moments.count
        if kind == "phi_s":
            return Rotated.phi_s(moments.mean, covariance)
        return Rotated.whitened(moments.mean, covariance, shrinkage=shrinkage)
    statistics = measure(batches)
    if kind == "none":
        return Unchanged.of(statistics)
    return (Standardizer.of if kind == "per_dimension" else Standardizer.isotropic)(statistics)


def origin(normalizer: Normalizer) -> Float32[Tensor, " dim"]:
    """Give the place of the training mean in normalised space: what explains no variance."""
    return normalizer(normalizer.mean)


def _collect(batches: Iterable[Float32[Tensor, "... dim"]], products: Products) -> RunningMoments:
    moments = RunningMoments(products)
    for batch in batches:
        moments.add(batch)
    if not moments.count:
        raise ConfigError("statistics of no clips: the training part of the split is empty")
    return moments


def _principal(
    covariance: Float64[Tensor, "dim dim"],
) -> tuple[Float64[Tensor, " dim"], Float64[Tensor, "dim dim"]]:
    """Give variances and directions of principal components; rounding makes none negative."""
    variances, components = torch.linalg.eigh(covariance)
    return variances.clamp(min=0), components

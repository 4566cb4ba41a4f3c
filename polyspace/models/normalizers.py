"""Normalisation of features: fitted on training clips only, invertible, saved with the model."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float32, Float64
from torch import Tensor, nn

from polyspace.errors import ConfigError
from polyspace.models.moments import RunningMoments, squares


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
    moments = RunningMoments(squares)
    for batch in batches:
        moments.add(batch)
    if not moments.count:
        raise ConfigError("statistics of no clips: the training part of the split is empty")
    std = (moments.sums / moments.count).sqrt()
    return Statistics(mean=moments.mean, std=std, count=moments.count)


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
    def of(cls, statistics: Statistics, *, floor: float = 1e-2) -> "Standardizer":
        """Make the standardizer that belongs to measured statistics."""
        normalizer = cls(len(statistics.mean))
        least = floor * float(statistics.std.median()) or 1.0
        normalizer.mean.copy_(statistics.mean)
        normalizer.std.copy_(statistics.std.clamp(min=least))
        return normalizer

    def forward(self, values: Float32[Tensor, "*token dim"]) -> Float32[Tensor, "*token dim"]:
        """Bring features to mean 0 and standard deviation 1."""
        return (values - self.mean) / self.std

    def inverse(self, values: Float32[Tensor, "*token dim"]) -> Float32[Tensor, "*token dim"]:
        """Bring standardised features back to their own space."""
        return values * self.std + self.mean

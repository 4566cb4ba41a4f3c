"""Neighbours in time and picture, looked at by small filters."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from polyspace.models.attention import Answer
from polyspace.models.grids import TokenShape, resample, side_of

BLOCKS = 2
KERNEL = (5, 3, 3)
"""Reach of a filter over time, height and width."""

Maps = Float[Tensor, "clip channel time height width"]


class RunningNorm(nn.Module):
    """Batch normalisation by what training has seen so far: batch-mates never matter afterwards.

    In training, channels are normalised by the batch at hand; the running mean of batches counts
    each alike until there are ten, and then forgets. A batch that overflowed leaves no trace.

    Source: Ioffe & Szegedy (arXiv 1502.03167), algorithms 1 and 2.
    """

    mean: Tensor
    variance: Tensor
    batches: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self.register_buffer("batches", torch.zeros(()))

    def forward(self, maps: Maps) -> Maps:
        """Normalise in float32, whatever the compute type is."""
        wide, mean, variance = maps.float(), self.mean, self.variance
        if self.training:
            variance, mean = torch.var_mean(wide, dim=(0, 2, 3, 4), correction=0)
            self._remember(mean.detach(), variance.detach())
        scale = self.weight * torch.rsqrt(variance + 1e-5)
        shift = self.bias - mean * scale
        return (wide * _per_channel(scale) + _per_channel(shift)).to(maps.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        known = mean.isfinite().all() & variance.isfinite().all()
        share = known / (self.batches + 1).clamp(max=10)
        self.mean += share * (mean.nan_to_num(0, 0, 0) - self.mean)
        self.variance += share * (variance.nan_to_num(0, 0, 0) - self.variance)
        self.batches += known


class SeparableBlock(nn.Module):
    """A filter for each channel by itself, then a mixture of channels, beside the identity.

    Source: MobileNet (arXiv 1704.04861), 3.1, over time and picture.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.filter = nn.Conv3d(
            channels, channels, KERNEL, padding="same", groups=channels, bias=False
        )
        self.norm = RunningNorm(channels)
        self.mix = nn.Conv3d(channels, channels, 1)

    def forward(self, maps: Maps) -> Maps:
        """Look at the neighbours."""
        return maps + self.mix(functional.silu(self.norm(self.filter(maps))))


class SeparableConvolution(nn.Module):
    """Depthwise-separable convolutions over the teacher's grid.

    Source: the original's linear_resampler (B), over time and picture instead of a flattened line
    of tokens, and normalised by running statistics instead of those of the batch.
    """

    def __init__(self, source: TokenShape, target: TokenShape, hidden: int) -> None:
        super().__init__()
        self.target, self.side = target, side_of(target.space)
        self.norm = nn.LayerNorm(source.dim)
        self.project = nn.Linear(source.dim, hidden)
        self.blocks = nn.Sequential(*(SeparableBlock(hidden) for _ in range(BLOCKS)))
        self.answer = Answer(hidden, target)

    def forward(
        self, student: Float[Tensor, "clip time space dim"]
    ) -> Float[Tensor, "clip time_out space_out dim_out"]:
        """Give what to add to the linear map's tokens."""
        grid = resample(student, time=self.target.time, space=self.target.space)
        maps = self.project(self.norm(grid)).permute(0, 3, 1, 2)
        maps = self.blocks(maps.unflatten(-1, (self.side, self.side)))
        return self.answer(maps.flatten(2).mT)


def _per_channel(values: Float[Tensor, " channel"]) -> Float[Tensor, "channel 1 1 1"]:
    return values[:, None, None, None]

"""Tokens on their grid: bringing one backbone's grid to another's, and looking at neighbours."""

from dataclasses import dataclass
from math import isqrt

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from polyspace.errors import ConfigError


@dataclass(frozen=True)
class TokenShape:
    """The stored shape of one clip's tokens."""

    time: int
    space: int
    dim: int

    def __str__(self) -> str:
        """Write it as time x space x dim."""
        return f"{self.time}x{self.space}x{self.dim}"


def resample(
    tokens: Float[Tensor, "clip time space dim"], *, time: int, space: int
) -> Float[Tensor, "clip time_out space_out dim"]:
    """Bring tokens to another grid over the same seconds and the same picture.

    Time and the picture's two axes are resampled each by itself, never along the flattened tokens:
    finer grids by linear interpolation between the centres of the cells, coarser ones by averaging.
    """
    return _resample_space(_resample_time(tokens, time), space)


def with_neighbours(
    tokens: Float[Tensor, "clip time space dim"], reach: int
) -> Float[Tensor, "clip time space wide"]:
    """Put each token's temporal neighbours beside it: `reach` before and `reach` after.

    At the ends of the clip the last token repeats. `wide` is ``(2 * reach + 1) * dim``.
    """
    if not reach:
        return tokens
    steps = torch.arange(tokens.shape[1], device=tokens.device)
    shifts = [(steps + shift).clamp(0, len(steps) - 1) for shift in range(-reach, reach + 1)]
    return torch.cat([tokens[:, index] for index in shifts], dim=-1)


def side_of(space: int) -> int:
    """Give the cells along each side of the picture.

    Raises:
        ConfigError: The grid is not square.
    """
    side = isqrt(space)
    if side * side != space:
        raise ConfigError(
            f"a grid of {space} tokens is not square, so it can't be resampled: "
            f"extract with --spatial 1 or 2"
        )
    return side


def _resample_time(tokens: Tensor, time: int) -> Tensor:
    clips, old, space, dim = tokens.shape
    if old == time:
        return tokens
    lines = tokens.permute(0, 2, 3, 1).reshape(clips, space * dim, old)
    lines = _finer(lines, (time,), "linear") if time > old else _coarser(lines, time)
    return lines.reshape(clips, space, dim, time).permute(0, 3, 1, 2)


def _resample_space(tokens: Tensor, space: int) -> Tensor:
    clips, time, old, dim = tokens.shape
    if old == space:
        return tokens
    side, side_out = side_of(old), side_of(space)
    maps = tokens.reshape(clips * time, side, side, dim).permute(0, 3, 1, 2)
    if side_out > side:
        maps = _finer(maps, (side_out, side_out), "bilinear")
    else:
        maps = functional.adaptive_avg_pool2d(maps, side_out)
    return maps.permute(0, 2, 3, 1).reshape(clips, time, space, dim)


def _finer(values: Tensor, size: tuple[int, ...], mode: str) -> Tensor:
    return functional.interpolate(values, size=size, mode=mode, align_corners=False)


def _coarser(lines: Tensor, time: int) -> Tensor:
    return functional.adaptive_avg_pool1d(lines, time)

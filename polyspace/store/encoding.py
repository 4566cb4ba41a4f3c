"""What features look like on disk in each of their types, and what that costs them.

======== ============== ======= ==================================================================
type     on disk        bytes   what is lost
======== ============== ======= ==================================================================
float16  float16        2       up to 2**-11 of a value; what it can't hold is refused
bfloat16 uint16         2       up to 2**-8 of a value; what it can't hold is refused
float32  float32        4       nothing
scaled   float16, scale 2       as float16, but everything finite fits
int8     int8, scale    1       up to half a step of 1/127 of the largest magnitude
======== ============== ======= ==================================================================

`scale` is one float32 for each clip, view and dimension, which the stored values are multiplied by.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int8, Shaped
from numpy import ndarray
from torch import Tensor

from polyspace.config import Config
from polyspace.precision import STORAGE_TYPES, FeatureType, StorageType, to_storage

ScaledType = Literal["scaled", "int8"]

ELEMENT_TYPES: dict[FeatureType, str] = {
    "float16": "<f2",
    "bfloat16": "<u2",
    "float32": "<f4",
    "scaled": "<f2",
    "int8": "|i1",
}
FILL_VALUES: dict[str, float | int] = {"f": float("nan"), "u": 0x7FC0, "i": -128}
"""By kind of element; 0x7FC0 is bfloat16's NaN, and int8 levels end at -127."""

MAGNITUDE = 0x7FFFFFFF
"""Bits of a float32 that are zero in zero only."""
NORMAL: dict[FeatureType, int] = {
    "float16": 0x7C00,
    "bfloat16": 0x7F80,
    "float32": 0x7F800000,
    "scaled": 0x7C00,
    "int8": 0xFF,
}
"""Bits of a stored value that are zero where it is zero or subnormal: the exponent."""

ROUNDING: dict[StorageType, float] = {"float16": 2**-11, "bfloat16": 2**-8, "float32": 0.0}
"""Largest relative error of a value in the normal range. Source: IEEE 754-2019, 4.3.1."""

FLOAT16 = torch.finfo(torch.float16)
FLOAT32 = np.finfo(np.float32)
CLIPS_AT_A_TIME = 16
LEVELS = 127
"""Of int8, on either side of zero."""
# A step above it would make the outermost level infinite again.
LARGEST_STEP = np.nextafter(FLOAT32.max / np.float32(LEVELS), np.float32(0))


class Lost(Config):
    """What storing some features has cost them; sums over work items."""

    values: int = 0
    """How many they are."""
    largest: float = 0.0
    """Largest magnitude before."""
    subnormal: int = 0
    """Values other than zero that are held with fewer bits than usual, or (int8: only) as zero."""
    worst_relative_error: float = 0.0
    """|stored - value| / |value| of the worst clip, all of its values as one vector: measured for
    scaled and int8; for the others IEEE 754's bound, which subnormal values may exceed."""

    def __str__(self) -> str:
        """Say it in a few words."""
        return (
            f"{self.values} values up to {self.largest:.4g}, {self.subnormal} below the normal "
            f"range, relative error up to {self.worst_relative_error:.1e}"
        )

    def __add__(self, other: "Lost") -> "Lost":
        """Give what both together have cost."""
        return Lost(
            values=self.values + other.values,
            largest=max(self.largest, other.largest),
            subnormal=self.subnormal + other.subnormal,
            worst_relative_error=max(self.worst_relative_error, other.worst_relative_error),
        )


@dataclass(frozen=True, eq=False)
class Encoded:
    """Features as they lie on disk."""

    values: Shaped[ndarray, "clip view *cells dim"]
    """For float32 the very memory of what was encoded."""
    scale: Float32[ndarray, "clip view dim"] | None
    """What reading multiplies them by; of scaled and int8 only."""
    lost: Lost


def encode(values: Float32[Tensor, "clip view *cells dim"], dtype: FeatureType) -> Encoded:
    """Bring features into the type that they are stored in; never is a stored value infinite.

    Args:
        values: Tokens; for the plain types also summaries, which have no cells.
        dtype: The type.

    Raises:
        StorageRangeError: A value is not finite, or too large for float16 or bfloat16.
    """
    values = values.detach()
    if dtype == "scaled" or dtype == "int8":
        return _encode_scaled(values, dtype)
    stored = _as_array(to_storage(values, dtype))
    low, high = map(float, torch.aminmax(values)) if values.numel() else (0.0, 0.0)
    lost = Lost(
        values=values.numel(),
        largest=max(0.0, -low, high),
        subnormal=_subnormal(values, stored, dtype),
        worst_relative_error=ROUNDING[dtype],
    )
    return Encoded(stored, None, lost)


def element_type(dtype: FeatureType) -> np.dtype[Any]:
    """Give the type of tokens on disk; zarr has no bfloat16, so its bits lie there as uint16."""
    return np.dtype(ELEMENT_TYPES[dtype])


def summary_type(dtype: FeatureType) -> StorageType:
    """Give the type of summaries beside tokens of a type; they are few, and never scaled."""
    return "float32" if dtype == "scaled" or dtype == "int8" else dtype


def fill_value(element: np.dtype[Any]) -> float | int:
    """Give what rows without features hold, which no feature ever is."""
    return FILL_VALUES[element.kind]


def as_tensor(values: Shaped[Tensor, "*shape"], dtype: FeatureType) -> Shaped[Tensor, "*shape"]:
    """See what lies on disk as what it means, without a copy."""
    return values.view(torch.bfloat16) if dtype == "bfloat16" else values


def _encode_scaled(
    values: Float32[Tensor, "clip view time space dim"], dtype: ScaledType
) -> Encoded:
    """Encode a few clips at a time, so that what lies between stays in the processor's cache."""
    parts = [_scaled(some, dtype) for some in to_storage(values, "float32").split(CLIPS_AT_A_TIME)]
    return Encoded(
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.scale for part in parts if part.scale is not None]),
        sum((part.lost for part in parts), Lost()),
    )


def _scaled(exact: Float32[Tensor, "clip view time space dim"], dtype: ScaledType) -> Encoded:
    largest = torch.maximum(exact.amax((2, 3)), -exact.amin((2, 3))).numpy(force=True)
    scale = _powers_of_two(largest) if dtype == "scaled" else _steps(largest)
    relative = exact / torch.from_numpy(scale).to(exact.device)[:, :, None, None]
    rounded = _float16(relative) if dtype == "scaled" else relative.round().to(torch.int8)
    stored = _as_array(rounded)
    lost = Lost(
        values=exact.numel(),
        largest=float(largest.max(initial=0.0)),
        subnormal=_subnormal(exact, stored, dtype),
        worst_relative_error=_worst_error(relative, rounded, scale),
    )
    return Encoded(stored, scale, lost)


def _powers_of_two(largest: Float32[ndarray, "*shape"]) -> Float32[ndarray, "*shape"]:
    """Give what brings magnitudes into [2**15, 2**16), or 1 where they are normal in float16.

    Powers of two cost no bit. Below 2**-126 they would be subnormal themselves; what is divided by
    that one is so short that float16's subnormal numbers hold all of it.
    """
    exponent = np.maximum(np.frexp(largest)[1] - 16, FLOAT32.minexp)
    fits = (largest == 0) | ((largest >= FLOAT16.tiny) & (largest < 2**16))
    return np.ldexp(np.float32(1), np.where(fits, 0, exponent))


def _steps(largest: Float32[ndarray, "*shape"]) -> Float32[ndarray, "*shape"]:
    steps = np.clip(largest / np.float32(LEVELS), FLOAT32.tiny, LARGEST_STEP)
    return np.where(largest == 0, np.float32(1), steps)


def _float16(relative: Float32[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Round to float16, values in [65504, 65536) towards zero: less than 2**-11 of them."""
    return to_storage(relative.clamp(-FLOAT16.max, FLOAT16.max), "float16")


def _worst_error(
    relative: Float32[Tensor, "clip view time space dim"],
    rounded: Float[Tensor, "clip view time space dim"] | Int8[Tensor, "clip view time space dim"],
    scale: Float32[ndarray, "clip view dim"],
) -> float:
    """Measure the relative error of the worst clip; `relative` is used up.

    Squares are summed before they are scaled, while float32 holds them.
    """
    weights = np.square(scale, dtype=np.float64)
    size = _weighted_sum(relative.square(), weights)
    error = _weighted_sum(relative.sub_(rounded).square_(), weights)
    return float(np.sqrt(error / np.where(size == 0, 1, size)).max(initial=0.0))


def _weighted_sum(
    squares: Float32[Tensor, "clip view time space dim"], weights: Float64[ndarray, "clip view dim"]
) -> Float64[ndarray, " clip"]:
    return (squares.sum((2, 3)).numpy(force=True) * weights).sum((1, 2))


def _subnormal(
    values: Float32[Tensor, "..."], stored: Shaped[ndarray, "..."], dtype: FeatureType
) -> int:
    return _count(values.numpy(force=True), MAGNITUDE) - _count(stored, NORMAL[dtype])


def _count(values: Shaped[ndarray, "..."], mask: int) -> int:
    """Count the values in which some bits of a mask are set: much faster than comparing them."""
    return int(np.count_nonzero(values.view(f"u{values.itemsize}") & mask))


def _as_array(stored: Shaped[Tensor, "*shape"]) -> Shaped[ndarray, "*shape"]:
    plain = stored.view(torch.uint16) if stored.dtype == STORAGE_TYPES["bfloat16"] else stored
    return plain.numpy(force=True)

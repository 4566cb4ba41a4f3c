"""What a model is given, checked before it sees it: features or frames, as tensors or arrays."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from polyspace.errors import InputError
from polyspace.models.grids import TokenShape

FEATURE_TYPES = (torch.float32, torch.float16, torch.bfloat16)
FEATURE_AXES = "[clip time space dim] or [clip view time space dim]"
FRAME_AXES = "[clip frames height width 3], or one clip without the first axis"
TAKEN = (
    f"expected features (float32, float16 or bfloat16, {FEATURE_AXES}) or frames (uint8, "
    f"{FRAME_AXES})"
)


def as_tensor(given: object) -> Tensor:
    """Take a tensor or a numpy array for what it is, without a copy where that can be.

    Raises:
        InputError: It is neither, or an array of a type that torch hasn't.
    """
    if isinstance(given, Tensor):
        return given.detach()
    if isinstance(given, ndarray):
        return _of_array(given)
    hint = "; files go to .videos([…])" if isinstance(given, str) else ""
    raise InputError(f"found {type(given).__name__}: {TAKEN} as a tensor or a numpy array{hint}")


def as_features(
    values: Tensor, shape: TokenShape, student: str
) -> Float[Tensor, "clip view time space dim"]:
    """Give features the axis of their views.

    Args:
        values: As somebody gave them.
        shape: Of one view's tokens.
        student: The backbone that makes such, for the message.

    Raises:
        InputError: They are of another shape or type, or not all finite.
    """
    expected = f"features of {student}: expected {FEATURE_AXES} with {shape} at the end"
    if values.dtype not in FEATURE_TYPES:
        raise InputError(f"{expected} as float32, float16 or bfloat16, found {_words(values)}")
    if values.ndim not in (4, 5) or tuple(values.shape[-3:]) != _sizes(shape):
        raise InputError(f"{expected}, found {_words(values)}")
    views = values[:, None] if values.ndim == 4 else values
    if not views.shape[1]:
        raise InputError(f"{expected}, found {_words(values)}: at least one view of each clip")
    if not bool(torch.isfinite(values).all()):
        count = int((~torch.isfinite(values)).sum())
        raise InputError(f"{expected}, found {count} values that are not finite")
    return views


def as_frames(values: Tensor) -> UInt8[Tensor, "clip frame height width 3"]:
    """Give frames the axis of their clips.

    Raises:
        InputError: They are of another shape or type, or there are none.
    """
    expected = f"frames: expected uint8 {FRAME_AXES}"
    if values.dtype != torch.uint8 or values.ndim not in (4, 5) or values.shape[-1] != 3:
        raise InputError(f"{expected}, found {_words(values)}")
    clips = values[None] if values.ndim == 4 else values
    if 0 in clips.shape[1:]:
        raise InputError(f"{expected}, found {_words(values)}: at least one frame and one pixel")
    return clips


def _of_array(given: ndarray) -> Tensor:
    # torch warns of arrays that can't be written to, and refuses steps backwards.
    native = np.require(given, given.dtype.newbyteorder("="), ["C", "W"])
    try:
        return torch.from_numpy(native)
    except TypeError as error:
        raise InputError(f"found an array of {given.dtype}: {TAKEN}") from error


def _sizes(shape: TokenShape) -> tuple[int, ...]:
    return shape.time, shape.space, shape.dim


def _words(values: Tensor) -> str:
    return f"{str(values.dtype).removeprefix('torch.')} {_shape(values.shape)}"


def _shape(sizes: Sequence[int]) -> str:
    return f"[{' '.join(map(str, sizes))}]"

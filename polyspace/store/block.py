"""Features on their way into a store: what a backbone saw of some clips, in the stored types."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Shaped
from numpy import ndarray
from torch import Tensor

from polyspace.errors import StorageRangeError, StoreError
from polyspace.precision import overflow_threshold
from polyspace.store.encoding import Encoded, Lost, encode, summary_type
from polyspace.store.layout import ArraySpec, Part


@dataclass(frozen=True)
class Block:
    """One backbone's features of some clips."""

    tokens: Float32[Tensor, "clip view time space dim"]
    summary: Float32[Tensor, "clip view dim"]
    seconds: Float64[ndarray, "clip view time 2"]
    """Start and end of what each temporal position saw."""


@dataclass(frozen=True, eq=False)
class StoredBlock:
    """The same in the types of its arrays."""

    parts: Mapping[Part, Shaped[ndarray, "clip ..."]]
    lost: Lost
    """What that cost the tokens."""


def stored(
    block: Block | StoredBlock, spec: ArraySpec, ids: Sequence[str], keep: Bool[ndarray, " clip"]
) -> StoredBlock:
    """Bring those clips of a block that are kept into the types of its arrays.

    Args:
        block: What was seen.
        spec: What the arrays hold.
        ids: Of all clips of the block.
        keep: Which of them count.

    Raises:
        StoreError: The block has another shape than the arrays.
        StorageRangeError: A type can't hold a value; the message names the clips.
    """
    if isinstance(block, StoredBlock):
        return StoredBlock({part: rows[keep] for part, rows in block.parts.items()}, block.lost)
    _refuse_other_shapes(block, spec, len(ids))
    # All of them without a copy, which a mask would make.
    mask = slice(None) if keep.all() else torch.from_numpy(keep)
    kept = [name for name, is_kept in zip(ids, keep, strict=True) if is_kept]
    tokens = _encoded(block.tokens[mask], spec, "tokens", kept)
    summary = _encoded(block.summary[mask], spec, "summary", kept)
    seconds = _finite(block.seconds[keep], spec, kept)
    parts: dict[Part, Shaped[ndarray, "clip ..."]] = {
        "tokens": tokens.values,
        "summary": summary.values,
        "time_seconds": seconds,
    }
    if tokens.scale is not None:
        parts["scale"] = tokens.scale
    return StoredBlock(parts, tokens.lost)


def _encoded(
    values: Float[Tensor, "clip ..."], spec: ArraySpec, part: Part, ids: Sequence[str]
) -> Encoded:
    dtype = spec.dtype if part == "tokens" else summary_type(spec.dtype)
    try:
        return encode(values, dtype)
    except StorageRangeError as error:
        limit = overflow_threshold(summary_type(dtype))
        # Written so that NaN, which compares false with everything, counts as offending.
        offending = ~(values.abs().flatten(1).amax(1) < limit)
        names = ", ".join(name for name, is_bad in zip(ids, offending, strict=True) if is_bad)
        raise StorageRangeError(f"{part} of {spec.backbone}, clips {names}: {error}") from error


def _finite(
    seconds: Float64[ndarray, "clip view time 2"], spec: ArraySpec, ids: Sequence[str]
) -> Float64[ndarray, "clip view time 2"]:
    """Refuse times that are not finite; they are stored as they are."""
    bad = np.flatnonzero(~np.isfinite(seconds).all(axis=(1, 2, 3)))
    if len(bad):
        names = ", ".join(ids[clip] for clip in bad.tolist())
        raise StorageRangeError(
            f"time_seconds of {spec.backbone}, clips {names}: times must be finite: mend the "
            f"clips' time stamps"
        )
    return seconds


def _refuse_other_shapes(block: Block, spec: ArraySpec, clips: int) -> None:
    """Refuse features that are not what the arrays hold.

    Raises:
        StoreError: They have another shape.
    """
    shapes: dict[Part, tuple[int, ...]] = {
        "tokens": tuple(block.tokens.shape),
        "summary": tuple(block.summary.shape),
        "time_seconds": block.seconds.shape,
    }
    for part, shape in shapes.items():
        expected = (clips, *spec.row_shape(part))
        if shape != expected:
            raise StoreError(f"{part} of {spec.backbone}: found {shape}, expected {expected}")

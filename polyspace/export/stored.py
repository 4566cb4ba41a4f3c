"""What was written of a model: every tensor's type, and what rounding made of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

TensorKind = Literal["parameter", "buffer"]
"""parameter: trained. buffer: measured or counted, never trained."""


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of the model, as it left."""

    name: str
    kind: TensorKind
    dtype: str
    """Type that it is stored in: float32, float16, bfloat16, int8, int64 …"""
    count: int
    """Values."""
    largest: float = 0.0
    """Largest magnitude before."""
    overflow: int = 0
    """Values that the type can't hold; a model with any doesn't leave."""
    subnormal: int = 0
    """Values that are kept with fewer than the type's usual significant bits, or became zero."""
    worst_relative_error: float = 0.0
    """Largest relative error, of values in the type's normal range; of int8: largest error over
    the row's largest magnitude."""
    rms_error: float = 0.0
    """Root of the mean squared error over that of the mean squared value."""


@dataclass(frozen=True)
class Stored:
    """What a format wrote."""

    dtype: str
    """Short name of the type that most of it is in: fp32, fp16, bf16, int8."""
    files: tuple[str, ...]
    """Names in the folder."""
    tensors: tuple[StoredTensor, ...]
    storage: str
    """Which tensors are stored in which type, in words."""


def quantization_info(
    stored: Stored,
    *,
    size: int,
    float32_size: int,
    sources: Mapping[str, str],
    keep_float32: Sequence[str],
) -> dict[str, Any]:
    """Say what was rounded and what was kept; the first five keys are the seed's.

    Args:
        stored: What was written.
        size: Bytes of its files.
        float32_size: Bytes of the same model as float32 in safetensors.
        sources: sha256 of the checkpoints that it was made of, by what they hold.
        keep_float32: Modules that were asked to stay float32.
    """
    parameters, buffers = (_by_type(stored, kind) for kind in ("parameter", "buffer"))
    halves = parameters["float16"] + parameters["bfloat16"]
    return {
        "dtype": stored.dtype,
        "fp16_parameters": halves,
        "non_fp16_parameters": parameters.total() - halves,
        "total_parameters": parameters.total(),
        "compression_ratio": float32_size / size,
        "parameters": dict(parameters),
        "buffers": dict(buffers),
        "bytes": size,
        "float32_bytes": float32_size,
        "policy": {"storage": stored.storage, "keep_float32": list(keep_float32)},
        "source_sha256": dict(sources),
        "tensors": [asdict(tensor) for tensor in stored.tensors],
    }


def _by_type(stored: Stored, kind: TensorKind) -> Counter[str]:
    counts = Counter[str]()
    for tensor in stored.tensors:
        if tensor.kind == kind:
            counts[tensor.dtype] += tensor.count
    return counts

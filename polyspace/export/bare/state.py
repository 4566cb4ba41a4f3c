"""A model's state in a smaller type, without its module: what is cast, what is kept, and why.

Float32 parameters are cast. Statistics, other buffers, whole numbers and parameters of another type
stay as they are. Whatever isn't finite is refused.
"""

from collections.abc import Mapping

import torch
from safetensors.torch import save
from torch import Tensor

from polyspace.export import cast
from polyspace.export.bare.weights import Weights
from polyspace.export.cast import WeightType
from polyspace.export.stored import Stored
from polyspace.precision import StorageType

SHORT: Mapping[StorageType, str] = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}
POLICY = "float32 parameters as {}; statistics, buffers, integers and other types as they were"


def plan(weights: Weights, dtype: StorageType) -> dict[str, WeightType | None]:
    """Say in which type each tensor leaves; None: as it is."""
    return {
        name: dtype if name not in weights.measured and values.dtype == torch.float32 else None
        for name, values in weights.state.items()
    }


def cast_weights(weights: Weights, dtype: StorageType) -> dict[str, Tensor]:
    """Give every tensor as it leaves, each with memory of its own.

    Raises:
        ExportError: A value is not finite, or outside of the type's range; the message names it.
    """
    leaving = cast.cast_state(weights.state, plan(weights, dtype))
    # Tied weights share memory, which safetensors refuses to write.
    return {name: values.clone() for name, values in leaving.items()}


def stored(weights: Weights, dtype: StorageType, files: tuple[str, ...]) -> Stored:
    """Say of every tensor what its type makes of it."""
    trained = weights.state.keys() - weights.measured
    return Stored(
        dtype=SHORT[dtype],
        files=files,
        tensors=cast.describe_state(weights.state, trained, plan(weights, dtype)),
        storage=POLICY.format(dtype),
    )


def float32_size(weights: Weights) -> int:
    """Give the bytes of the weights alone in safetensors, without anything cast."""
    return len(save(cast_weights(weights, "float32"), {"format": "pt"}))

"""Casting a model's state to the type that it leaves in."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from polyspace.errors import ExportError, StorageRangeError
from polyspace.precision import StorageType, to_storage

SHORT_NAMES: dict[StorageType, str] = {
    "float16": "fp16",
    "bfloat16": "bf16",
    "float32": "fp32",
}


@dataclass(frozen=True)
class QuantizationInfo:
    """What was cast and what was kept; the fields that users of the seed's exporter know."""

    dtype: str
    fp16_parameters: int
    """Values that were cast."""
    non_fp16_parameters: int
    """Values that stay float32: the measured means and deviations, which have no fixed range."""
    total_parameters: int
    compression_ratio: float
    """Bytes of the values before, over bytes after."""


def cast(model: nn.Module, dtype: StorageType) -> dict[str, Tensor]:
    """Give the state with every trained weight in `dtype`; measured statistics stay float32.

    Raises:
        ExportError: A weight is outside of the type's range; the message names it.
    """
    trained = {name for name, _ in model.named_parameters()}
    state: dict[str, Tensor] = {}
    for name, values in model.state_dict().items():
        try:
            state[name] = to_storage(values, dtype) if name in trained else values
        except StorageRangeError as error:
            raise ExportError(f"{name} can't be exported as {dtype}: {error}") from error
    return {name: values.contiguous().cpu() for name, values in state.items()}


def describe(state: Mapping[str, Tensor], dtype: StorageType) -> QuantizationInfo:
    """Count what was cast and what was kept."""
    total = sum(values.numel() for values in state.values())
    halved = sum(values.numel() for values in state.values() if values.element_size() == 2)
    size = sum(values.numel() * values.element_size() for values in state.values())
    return QuantizationInfo(SHORT_NAMES[dtype], halved, total - halved, total, 4 * total / size)

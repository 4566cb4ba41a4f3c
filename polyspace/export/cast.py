"""Which of a model's tensors leave in which type, and the rounding itself."""

from collections.abc import Collection, Mapping
from typing import Literal

import torch
from jaxtyping import Float, Float32, Int8
from torch import Tensor, nn

from polyspace.errors import ExportError, StorageRangeError
from polyspace.export.stored import StoredTensor, TensorKind
from polyspace.precision import STORAGE_TYPES, census, to_storage

WeightType = Literal["float32", "float16", "bfloat16", "int8"]
"""Types of stored weights; int8: a byte a value, and one float32 scale for each row."""

SCALE = ".row_scale"
"""What is added to a tensor's name for the scales of its rows."""

NORMS = (
    nn.LayerNorm,
    nn.RMSNorm,
    nn.GroupNorm,
    nn.modules.batchnorm._BatchNorm,  # pyright: ignore[reportPrivateUsage]
)


def plan(
    model: nn.Module,
    dtype: WeightType,
    *,
    keep: Collection[str] = (),
    keep_norms: bool = False,
) -> dict[str, WeightType | None]:
    """Say in which type each tensor of a model's state leaves; None: as it is.

    Measured statistics and counters are left as they are: they have no fixed range. Vectors don't
    leave as int8: a scale for each of their values would be larger than they are.

    Args:
        model: The model.
        dtype: Type of trained weights.
        keep: Modules, by the start of their names, whose weights stay float32.
        keep_norms: Whether the weights of normalisation layers stay float32, too.

    Raises:
        ExportError: `keep` names a module that the model doesn't have.
    """
    trained = dict(model.named_parameters())
    refuse_unknown(keep, trained)
    kept = tuple(keep) + (tuple(_norms(model)) if keep_norms else ())

    def choose(name: str, values: Tensor) -> WeightType | None:
        if name not in trained:
            return None
        within = any(name == module or name.startswith(f"{module}.") for module in kept)
        return "float32" if within or (dtype == "int8" and values.ndim < 2) else dtype

    return {name: choose(name, values) for name, values in model.state_dict().items()}


def cast_state(
    state: Mapping[str, Tensor], types: Mapping[str, WeightType | None]
) -> dict[str, Tensor]:
    """Round a state as planned; int8 tensors are followed by the scales of their rows.

    Raises:
        ExportError: A value is not finite, or outside of its type's range; the message names it.
    """
    rounded: dict[str, Tensor] = {}
    for name, values in state.items():
        rounded |= _cast(name, values.detach().cpu(), types[name])
    return {name: values.contiguous() for name, values in rounded.items()}


def restore_state(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Undo what `cast_state` did, as far as can be: names of the model, int8 as float32."""
    scales = {name for name in stored if name.endswith(SCALE)}
    return {
        name: dequantise(values, stored[name + SCALE]) if name + SCALE in scales else values
        for name, values in stored.items()
        if name not in scales
    }


def quantise(
    values: Float[Tensor, "row ..."],
) -> tuple[Int8[Tensor, "row ..."], Float32[Tensor, " row"]]:
    """Round to -127 … 127 steps of a 127th of each row's largest magnitude.

    Source: symmetric per-channel quantisation, Jacob et al. (arXiv 1712.05877), section 3, with the
    zero point at 0, as ONNX Runtime and torchao quantise weights.
    """
    rows = values.to(torch.float32).flatten(1)
    largest = rows.abs().amax(1)
    scale = torch.where(largest > 0, largest / 127, torch.ones_like(largest))
    steps = (rows / scale[:, None]).round().clamp(-127, 127)
    return steps.to(torch.int8).reshape(values.shape), scale


def dequantise(
    steps: Int8[Tensor, "row ..."], scale: Float32[Tensor, " row"]
) -> Float32[Tensor, "row ..."]:
    """Give the values that the steps stand for."""
    return (steps.flatten(1).to(torch.float32) * scale[:, None]).reshape(steps.shape)


def describe(
    model: nn.Module, state: Mapping[str, Tensor], types: Mapping[str, WeightType | None]
) -> tuple[StoredTensor, ...]:
    """Say of every tensor of a model what its type makes of it."""
    return describe_state(state, {name for name, _ in model.named_parameters()}, types)


def describe_state(
    state: Mapping[str, Tensor],
    trained: Collection[str],
    types: Mapping[str, WeightType | None],
) -> tuple[StoredTensor, ...]:
    """Say of every tensor what its type makes of it, for a state whose module isn't known.

    Args:
        state: The tensors, as they were.
        trained: Names of those that are parameters.
        types: What `cast_state` is given.
    """
    return tuple(
        _describe(name, "parameter" if name in trained else "buffer", values, types[name])
        for name, values in state.items()
    )


def _cast(name: str, values: Tensor, dtype: WeightType | None) -> dict[str, Tensor]:
    if values.is_floating_point() and not bool(torch.isfinite(values).all()):
        count = int((~torch.isfinite(values)).sum())
        raise ExportError(
            f"{name} has {count} values that are not finite: such a model answers nothing; train "
            f"again, or choose an earlier checkpoint"
        )
    if dtype is None:
        return {name: values}
    if dtype == "int8":
        steps, scale = quantise(values)
        return {name: steps, name + SCALE: scale}
    try:
        return {name: to_storage(values, dtype)}
    except StorageRangeError as error:
        raise ExportError(f"{name} can't be exported as {dtype}: {error}") from error


def _describe(
    name: str, kind: TensorKind, values: Tensor, dtype: WeightType | None
) -> StoredTensor:
    if dtype is None:
        kept = str(values.dtype).removeprefix("torch.")
        return StoredTensor(name, kind, kept, values.numel(), _largest(values))
    if dtype == "int8":
        return _describe_int8(name, kind, values)
    lost = census(values, dtype)
    return StoredTensor(
        name=name,
        kind=kind,
        dtype=dtype,
        count=lost.count,
        largest=lost.largest,
        overflow=lost.overflow,
        subnormal=lost.subnormal,
        worst_relative_error=lost.worst_relative_error,
        rms_error=_rms(values, values.to(STORAGE_TYPES[dtype]).to(torch.float32)),
    )


def _describe_int8(name: str, kind: TensorKind, values: Tensor) -> StoredTensor:
    steps, scale = quantise(values)
    back = dequantise(steps, scale)
    error = (back - values).abs().flatten(1).amax(1) / (127 * scale)
    worst = float(error.max()) if error.numel() else 0.0
    return StoredTensor(
        name, kind, "int8", values.numel(), _largest(values), 0, 0, worst, _rms(values, back)
    )


def _largest(values: Tensor) -> float:
    return float(values.double().abs().max()) if values.numel() else 0.0


def _rms(before: Tensor, after: Tensor) -> float:
    power = before.double().square().mean()
    error = (after.double() - before.double()).square().mean()
    return float((error / power).sqrt()) if float(power) else 0.0


def _norms(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, NORMS)]


def refuse_unknown(keep: Collection[str], trained: Collection[str]) -> None:
    """Refuse names that no trained weight's name begins with.

    Raises:
        ExportError: There is one.
    """
    for module in keep:
        if not any(name == module or name.startswith(f"{module}.") for name in trained):
            some = ", ".join(sorted({name.rpartition(".")[0] for name in trained})[:6])
            raise ExportError(
                f"--keep-float32 {module}: the model has no trained weights of that name; "
                f"it has {some} …"
            )

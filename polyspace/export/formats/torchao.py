"""torchao_int8: matrices as torchao's int8 tensors, a scale a row, in safetensors.

For those who run models with torchao anyway: its tensors stay int8 in memory, and its own kernels
and `torch.compile` know them. Without compiling it is slower than float32 on a CPU. The file is
torchao's own layout for safetensors, without pickle.
"""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from polyspace.errors import CheckpointError, ExportError
from polyspace.export.cast import WeightType, plan
from polyspace.export.formats.kinds import FormatName, Loaded, Subject
from polyspace.export.formats.rounding import largest, rounded
from polyspace.export.formats.tracing import quietly, refuse_not_finite
from polyspace.export.formats.weights import Weights
from polyspace.export.stored import Stored, StoredTensor, TensorKind
from polyspace.files import write_atomically
from polyspace.models.fusion import Distilled
from polyspace.precision import Precision

# An option, absent where types are checked; and it warns of kernels for GPUs that aren't there.
with quietly():
    from torchao.prototype.safetensors.safetensors_support import (  # pyright: ignore[reportMissingImports]
        flatten_tensor_state_dict,
        unflatten_tensor_state_dict,
    )
    from torchao.quantization import (  # pyright: ignore[reportMissingImports]
        Int8Tensor,
        Int8WeightOnlyConfig,
        quantize_,
    )

FILE = "model.safetensors"

WORDS = (
    "matrices of linear layers int8 by torchao, with a float32 scale for each row; the rest float32"
)


def write(name: FormatName, subject: Subject, folder: Path) -> Stored:
    """Write the weights.

    Raises:
        ExportError: A weight is not finite, or the student's were asked for, too.
    """
    if subject.entry != "tokens":
        raise ExportError(
            f"{name} holds the distilled model's weights alone, without the student's: export "
            f"--entry tokens, or a format that holds a graph (onnx, pt2)"
        )
    refuse_not_finite(subject.model)
    types = plan(subject.model, "int8", keep=subject.keep_float32)
    state = _quantised(subject.model, types).state_dict()
    tensors, said = flatten_tensor_state_dict(state)
    content = save({key: value.contiguous() for key, value in tensors.items()}, said)
    write_atomically(folder / FILE, lambda file: file.write(content))
    return Stored("int8", (FILE,), _census(subject.model, state), WORDS)


def load(name: FormatName, folder: Path, specs: Mapping[str, Any], device: torch.device) -> Loaded:
    """Read the weights into the architecture that they belong to.

    Raises:
        CheckpointError: They are not exactly those of such a model.
    """
    model = Distilled.from_specs(specs)
    state = _read(folder / FILE)
    own = {key: value.shape for key, value in model.state_dict().items()}
    if own != {key: value.shape for key, value in state.items()}:
        raise CheckpointError(
            f"{folder / FILE} doesn't hold the weights that {folder / 'config.json'} describes: "
            f"export it again"
        )
    model.load_state_dict(state, assign=True)
    model.eval().requires_grad_(requires_grad=False).to(device)
    reason = f"float32 on {device.type}: torchao widens int8 weights in every product"
    precision = Precision(compute="fp32", reason=reason)
    return Loaded(Weights(model, precision, device), precision, model)


def _quantised(model: Distilled, types: Mapping[str, WeightType | None]) -> Distilled:
    """Let torchao replace the weights of linear layers in a copy."""

    def is_meant(module: nn.Module, name: str) -> bool:
        return isinstance(module, nn.Linear) and types[f"{name}.weight"] == "int8"

    copy = deepcopy(model)
    with quietly():
        quantize_(copy, Int8WeightOnlyConfig(), filter_fn=is_meant)
    return copy


def _read(path: Path) -> dict[str, Tensor]:
    with safe_open(path, "pt") as file, quietly():
        said = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        try:
            state, left = unflatten_tensor_state_dict(tensors, said)
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{path} is not what torchao wrote ({error}): export it again"
            ) from error
    if left:
        raise CheckpointError(f"{path} holds {next(iter(left))}, which is no weight")
    return state


def _census(model: Distilled, state: Mapping[str, Tensor]) -> tuple[StoredTensor, ...]:
    trained = {name for name, _ in model.named_parameters()}
    exact = model.state_dict()
    found: list[StoredTensor] = []
    for name, values in state.items():
        kind: TensorKind = "parameter" if name in trained else "buffer"
        before = exact[name].numpy()
        if isinstance(values, Int8Tensor):
            stored = cast(Any, values)
            steps, scale = stored.qdata.numpy(), stored.scale.numpy()
            found.append(rounded(name, kind, before, steps, scale))
        else:
            dtype = np.dtype(before.dtype).name
            found.append(StoredTensor(name, kind, dtype, before.size, largest(before)))
    return tuple(found)

"""Files of weights alone, as export_best writes them: read back into a model that somebody has."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from polyspace.engine import checkpoint
from polyspace.errors import CheckpointError, ConfigError
from polyspace.models.restore import restore
from polyspace.precision import to_compute

STATE, INFO = "model_state_dict", "quantization_info"
CPU = torch.device("cpu")
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def load(path: Path, model: nn.Module | None) -> tuple[nn.Module, Mapping[str, Any] | None]:
    """Fill a model with a file's weights; give it, and what the file says of their types.

    Args:
        path: The file, which holds nothing but plain values and tensors.
        model: The architecture, on the device where it shall stay.

    Raises:
        ConfigError: No model was given.
        CheckpointError: The file is damaged, holds something else, code among it, or weights that
            are not exactly the model's.
    """
    if model is None:
        raise ConfigError(
            f"{path} holds weights and no architecture: give the model that they belong to, "
            f"load_model_auto(path, model=…)"
        )
    content = read(path)
    info: Mapping[str, Any] | None = content.get(INFO)
    where = next((tensor.device for tensor in model.state_dict().values()), CPU)
    wide = {name: _widened(values) for name, values in content[STATE].items()}
    # Widened before it is filled, or a model that is half already would round what it is given.
    restore(model.float(), wide).eval()
    if where.type == "cuda" and (info or {}).get("dtype") == "fp16":
        _halve(model)
    return model, info


def read(path: Path) -> dict[str, Any]:
    """Read such a file to the CPU.

    Raises:
        CheckpointError: It is damaged, not as its digest has it, holds something else, or code.
    """
    checkpoint.check_digest(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # bytes of another origin make the parser raise almost anything
        raise CheckpointError(
            f"{path} is no file of plain weights ({checkpoint.reason(error)}): nothing of it was "
            f"run; export it again"
        ) from error
    found = sorted(map(str, content)) if isinstance(content, dict) else [type(content).__name__]
    state = content.get(STATE) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise CheckpointError(
            f"{path} has no {STATE} (found {', '.join(found[:8]) or 'nothing'}): expected a file "
            f"that polyspace.export.export_best wrote"
        )
    if not isinstance(content.get(INFO), dict | None):
        raise CheckpointError(f"{path}: its {INFO} is no table of facts; export it again")
    return content


def _widened(values: Tensor) -> Tensor:
    """Give narrow floating values as float32; counts and the like as they are."""
    return to_compute(values, CPU) if values.is_floating_point() else values


def _halve(model: nn.Module) -> None:
    """Take a network to float16; batch normalisation computes in float32 over float16 inputs."""
    model.half()
    for layer in model.modules():
        if isinstance(layer, NORMS):
            layer.float()

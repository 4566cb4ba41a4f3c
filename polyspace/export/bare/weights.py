"""The weights in a checkpoint, whoever wrote it: what was trained, what was measured."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from polyspace.engine import checkpoint
from polyspace.errors import CheckpointError
from polyspace.models.converters import Translator
from polyspace.models.fusion import Fusion
from polyspace.models.student import StudentHead

OWN: Mapping[str, Callable[[Mapping[str, Any]], nn.Module]] = {
    "fusion": Fusion.from_record,
    "converters": Translator.from_record,
    "student": StudentHead.from_record,
}
"""Kinds of checkpoint that PolySpace itself writes, and the models that they hold."""
KEYS = ("model_state_dict", "state_dict")
"""Where others keep weights."""
MEASURED = ("running_mean", "running_var", "num_batches_tracked")
"""What batch and instance normalisation measure: without the module, their names tell them."""


@dataclass(frozen=True, eq=False)
class Weights:
    """A model's state without anything that only training needs."""

    kind: str
    """A kind of PolySpace's own, or the key under which the weights were."""
    state: Mapping[str, Tensor]
    measured: frozenset[str]
    """Names of what is not trained: statistics and other buffers."""
    left_out: tuple[str, ...]
    """What else was in the file."""


def read(path: Path) -> Weights:
    """Read the weights of a checkpoint to the CPU; nothing in the file is executed.

    Raises:
        CheckpointError: The file is missing, altered, holds code, or no weights.
    """
    content = checkpoint.read(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, expected weights by name")
    found: dict[str, Any] = content
    if found.get("kind") in OWN:
        return _own(path, found)
    for key in KEYS:
        if key in found:
            left = tuple(name for name in map(str, found) if name != key)
            return _other(path, key, found[key], left)
    if not all(isinstance(value, Tensor) for value in found.values()):
        raise CheckpointError(
            f"{path} holds {', '.join(map(str, found))}, expected weights under "
            f"{' or '.join(KEYS)}: save model.state_dict() there"
        )
    return _other(path, "state_dict", found, ())


def _own(path: Path, content: Mapping[str, Any]) -> Weights:
    kind = str(content["kind"])
    try:
        checkpoint.check_format(path, content)
        model = OWN[kind](content)
    except (KeyError, TypeError, ValueError) as error:
        first = str(error).partition("\n")[0]
        raise CheckpointError(
            f"{path} is no {kind} of this version ({first}): train it again"
        ) from error
    trained = {name for name, _ in model.named_parameters()}
    state = model.state_dict()
    left = tuple(name for name in content if name not in ("state", "standardizer"))
    return Weights(kind, state, frozenset(state.keys() - trained), left)


def _other(path: Path, key: str, state: Any, left: tuple[str, ...]) -> Weights:  # noqa: ANN401
    """Check that all of a state are plain tensors."""
    if not isinstance(state, Mapping) or not state:
        raise CheckpointError(
            f"{path}: {key} holds no weights; save the model's state_dict() there"
        )
    wrong = [str(name) for name, value in state.items() if not _is_weight(name, value)]
    if wrong:
        raise CheckpointError(
            f"{path}: {wrong[0]} is no dense tensor of numbers, so this is no model's state: save "
            f"model.state_dict() under {' or '.join(KEYS)}"
        )
    measured = {name for name, value in state.items() if _is_measured(name, value)}
    return Weights(key, dict(state), frozenset(measured), left)


def _is_weight(name: object, value: object) -> bool:
    if not isinstance(name, str) or not isinstance(value, Tensor):
        return False
    odd = value.is_quantized or value.is_complex() or value.is_meta
    return value.layout == torch.strided and not odd


def _is_measured(name: str, value: Tensor) -> bool:
    return name.rpartition(".")[2] in MEASURED or not value.is_floating_point()

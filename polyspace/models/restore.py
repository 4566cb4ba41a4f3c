"""Weights back into a model: every one of them, and nothing else."""

from collections.abc import Mapping
from typing import TypeVar

from torch import Tensor, nn

from polyspace.errors import CheckpointError

M = TypeVar("M", bound=nn.Module)


def restore(model: M, state: Mapping[str, Tensor]) -> M:
    """Fill a model with saved weights, and give it back.

    Raises:
        CheckpointError: Names or shapes differ; no weight was filled in.
    """
    own = model.state_dict()
    differing = [name for name in own.keys() & state.keys() if own[name].shape != state[name].shape]
    wrong = {
        "missing": sorted(own.keys() - state.keys()),
        "unknown": sorted(state.keys() - own.keys()),
        "of another shape": sorted(differing),
    }
    found = [f"{len(names)} {what} ({names[0]} first)" for what, names in wrong.items() if names]
    if found:
        raise CheckpointError(
            f"these weights are not those of a {type(model).__name__} as this version makes it: "
            f"{', '.join(found)}; train it again"
        )
    model.load_state_dict(state, strict=True)
    return model

"""Weights as tensors by name: read without executing anything, fitted strictly, fingerprinted."""

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from polyspace.errors import WeightsError


def read_state(file: Path) -> dict[str, Tensor]:
    """Read a file of tensors, on the CPU; nothing in it is ever executed.

    Raises:
        WeightsError: The file is missing, damaged, or holds anything but tensors.
    """
    if not file.is_file():
        raise WeightsError(f"{file.parent} holds no {file.name}: give the folder that does")
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # three libraries' ways of saying that the bytes are not weights
        raise unreadable(str(file), error) from error


def unreadable(source: str, error: Exception) -> WeightsError:
    """Make the one-line error for a file that no library could read."""
    return WeightsError(
        f"{source} can't be read as weights ({first_line(error)}): fetch it again, as safetensors"
    )


def load_state(network: nn.Module, state: Mapping[str, Tensor], *, source: str) -> None:
    """Fill a network with weights of exactly its names and shapes.

    Raises:
        WeightsError: A name is missing or unknown, or a shape differs.
    """
    own = network.state_dict()
    both = own.keys() & state.keys()
    refuse_misfits(
        source=source,
        missing=own.keys() - both,
        unexpected=state.keys() - both,
        misshapen=[key for key in both if own[key].shape != state[key].shape],
    )
    network.load_state_dict(state)


def refuse_misfits(
    *,
    source: str,
    missing: Collection[str],
    unexpected: Collection[str],
    misshapen: Collection[str],
) -> None:
    """Refuse weights that don't fit their network, counting the misfits and naming a few.

    Raises:
        WeightsError: There is any misfit.
    """
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": misshapen}
    said = [
        f"{len(keys)} {kind} ({', '.join(sorted(keys)[:3])}{', …' if len(keys) > 3 else ''})"
        for kind, keys in kinds.items()
        if keys
    ]
    if said:
        raise WeightsError(
            f"{source} doesn't fit its architecture: {'; '.join(said)}. "
            f"Give a complete checkpoint of that architecture"
        )


def fingerprint(state: Mapping[str, Tensor], settings: str) -> str:
    """Hash weights, in the order of their names, and the settings of the network they fill."""
    digest = hashlib.sha256(settings.encode())
    for name in sorted(state):
        digest.update(name.encode())
        # As bytes, because numpy has no bfloat16.
        raw = state[name].detach().cpu().contiguous().flatten().view(torch.uint8)
        digest.update(raw.numpy().tobytes())
    return digest.hexdigest()


def first_line(error: Exception) -> str:
    """Give what an error says in one line; its class where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)

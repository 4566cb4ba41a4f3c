"""The weights of a chosen checkpoint on disk: for safetensors and for torch, and read back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from polyspace import files
from polyspace.engine import checkpoint
from polyspace.errors import CheckpointError
from polyspace.export import contents
from polyspace.export.bare import reread, state, weights
from polyspace.export.bare.weights import Weights
from polyspace.export.selection.dossier import Chosen
from polyspace.export.stored import quantization_info
from polyspace.precision import StorageType

WEIGHTS = "model.safetensors"
INFO = "quantization_info.json"
PROVED = "every tensor was read back bit by bit in a fresh process"
UNKNOWN = f"{PROVED}; no forward pass was made, because the architecture is not known here"
OWN = f"{PROVED}; no forward pass was made here: python -m polyspace.export.bundle compares answers"


def write(folder: Path, chosen: Chosen, published: str, dtype: StorageType) -> dict[str, Any]:
    """Write the weights twice, have them read back, and give all that is known of them.

    Args:
        folder: Where to.
        chosen: Whose weights.
        published: Name of the file that torch reads; the other is for safetensors.
        dtype: Type of float32 parameters.

    Raises:
        CheckpointError: The checkpoint can't be read safely, or has changed since it was chosen.
        ExportError: A value doesn't fit the type, or a file doesn't read back.
    """
    source = chosen.winner.found
    read = weights.read(source.path)
    if files.sha256_file(source.path) != source.sha256:
        raise CheckpointError(f"{source.path} was changed while it was read: choose again")
    leaving = state.cast_weights(read, dtype)
    raw = save(leaving, {"format": "pt"})
    info = quantization_info(
        state.stored(read, dtype, (WEIGHTS, published)),
        size=len(raw),
        float32_size=state.float32_size(read),
        sources={"checkpoint": source.sha256},
        keep_float32=(),
    )
    files.write_atomically(folder / WEIGHTS, lambda file: file.write(raw))
    checkpoint.write_digest(folder / WEIGHTS)
    _write_view(folder / published, chosen, leaving, info if dtype != "float32" else None)
    count = reread.verify(leaving, [folder / WEIGHTS, folder / published])
    info |= {"source": _source(chosen, read), "proof": _proof(read, count)}
    contents.write_json(folder / INFO, info)
    return info


def _proof(read: Weights, count: int) -> dict[str, Any]:
    said = OWN if read.kind in weights.OWN else UNKNOWN
    return {"tensors": count, "forward_pass": False, "said": said}


def _write_view(
    path: Path, chosen: Chosen, leaving: Mapping[str, torch.Tensor], info: Mapping[str, Any] | None
) -> None:
    """Write what the seed's loaders expect; of weights that aren't quantised, without the info."""
    row = chosen.winner.found.row
    content: dict[str, Any] = {"model_state_dict": dict(leaving), "step": row.step}
    content |= {} if row.epoch is None else {"epoch": row.epoch}
    content |= {} if info is None else {"quantization_info": dict(info)}
    files.write_atomically(path, lambda file: torch.save(content, file))
    checkpoint.write_digest(path)


def _source(chosen: Chosen, read: Weights) -> dict[str, Any]:
    found = chosen.winner.found
    return {
        "path": str(found.path),
        "sha256": found.sha256,
        "bytes": found.path.stat().st_size,
        "kind": read.kind,
        "left_out": list(read.left_out),
    }

"""Checkpoints: written whole or not at all, checked before they are read, never executable.

The file is torch's own format and loads with ``torch.load(path, weights_only=True)``; its sha256
lies beside it in ``<name>.sha256``, in the form that ``sha256sum --check`` reads.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from polyspace.errors import CheckpointError, DivergedError
from polyspace.files import sha256_file, write_atomically

FORMAT = 1


def save(path: Path, kind: str, content: Mapping[str, Any]) -> Path:
    """Write a checkpoint of plain values and tensors.

    Args:
        path: The file; its folder is made.
        kind: What it holds ("converters", "fusion"); `load` refuses another kind.
        content: Tensors, numbers, strings, lists and dictionaries of them.

    Raises:
        DivergedError: A tensor is not finite; nothing was written.
    """
    for name, tensor in _tensors(content):
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise DivergedError(
                f"{name} has values that are not finite, so {path.name} was not written: "
                f"lower --lr, or train in --use-bf16 or float32"
            )

    def write(file: IO[bytes]) -> None:
        torch.save({"format": FORMAT, "kind": kind, **content}, file)
        # A kill between the two files must not leave the old digest beside the new checkpoint.
        _digest_path(path).unlink(missing_ok=True)

    write_atomically(path, write)
    write_digest(path)
    return path


def load(path: Path, kind: str) -> dict[str, Any]:
    """Read a checkpoint of one kind to the CPU.

    Raises:
        CheckpointError: The file is missing, altered, or holds another kind.
    """
    content = read(path, kind)
    found = content.get("kind") if isinstance(content, dict) else None
    if found != kind:
        raise CheckpointError(f"{path} holds {found or 'something else'}, expected {kind}")
    check_format(path, content)
    return content


def read(path: Path, kind: str = "model") -> Any:  # noqa: ANN401
    """Read whatever torch has saved, to the CPU; nothing in it is executed.

    Args:
        path: The file; the sha256 beside it, if there is one, has to be its own.
        kind: What it is called where it is missing.

    Raises:
        CheckpointError: The file is missing, altered, or holds more than values and tensors.
    """
    if not path.is_file():
        raise CheckpointError(f"no {kind} checkpoint at {path}: train one, or mend the path")
    check_digest(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # bytes of another origin make the parser raise almost anything
        raise CheckpointError(
            f"{path} is not a checkpoint of values and tensors ({reason(error)}): mend the path, "
            f"or save it again"
        ) from error


def digest(path: Path) -> str:
    """Give a checkpoint's sha256 as it was noted when it was written; hash it if it wasn't."""
    beside = _digest_path(path)
    return beside.read_text().split()[0] if beside.is_file() else sha256_file(path)


def write_digest(path: Path) -> None:
    """Note a checkpoint's sha256 beside it."""
    line = f"{sha256_file(path)}  {path.name}\n".encode()
    write_atomically(_digest_path(path), lambda file: file.write(line))


def remove(path: Path) -> None:
    """Remove a checkpoint and its digest; of two that compete, neither fails."""
    path.unlink(missing_ok=True)
    _digest_path(path).unlink(missing_ok=True)


def _tensors(value: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:  # noqa: ANN401
    """Find the tensors in nested content, each with its path."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _tensors(part, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from _tensors(part, f"{name}[{index}]")


def reason(error: Exception) -> str:
    """Say why torch refused a file; of code in it what it would have called."""
    # torch's own words recommend to switch the check off.
    called = re.search(r"GLOBAL (\S+)", str(error))
    return f"it would call {called[1]}" if called else str(error).partition("\n")[0]


def check_format(path: Path, content: Mapping[str, Any]) -> None:
    """Refuse a checkpoint of PolySpace's own that a later version wrote.

    Raises:
        CheckpointError: It is of a later format.
    """
    if content["format"] > FORMAT:
        raise CheckpointError(
            f"{path} has format {content['format']}, this PolySpace reads up to {FORMAT}: update it"
        )


def _digest_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def check_digest(path: Path) -> None:
    """Compare with the digest beside the file; one that was copied alone is read as it is.

    Raises:
        CheckpointError: It is of other bytes.
    """
    beside = _digest_path(path)
    if beside.is_file() and beside.read_text().split()[0] != sha256_file(path):
        raise CheckpointError(
            f"{path} is not the file that was written (its sha256 differs from {beside.name}): "
            f"copy it again, or train again"
        )

"""Receipts: what a stage made, from what, and the digests that prove both.

A stage is skipped when its folder's receipt names the same inputs and every artefact still has the
bytes that it had. Nothing is taken on trust: a check reads each artefact once (sha256 runs at more
than 1 GB/s on one core), and a single changed byte runs the stage again.
"""

import functools
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydantic import JsonValue, ValidationError

import polyspace
from polyspace import console, files
from polyspace.config import Config

NAME = "receipt.json"


class Artefact(Config):
    """One file as it was when the stage ended."""

    size_bytes: int
    sha256: str


class Receipt(Config):
    """What a finished stage leaves beside its artefacts, written last."""

    inputs: dict[str, str]
    """sha256 of everything that decides the result, by name."""
    outputs: dict[str, Artefact]
    """Every file in the folder, by its path there."""
    result: str
    """The path in the folder that the stage returned."""
    seconds: float
    """What the stage took."""
    finished_at: str
    """UTC, ISO 8601."""
    run_id: str | None
    """The MLflow run that recorded it; None if it was not tracked."""


def seal(
    folder: Path,
    inputs: Mapping[str, JsonValue],
    *,
    result: Path,
    seconds: float,
    run_id: str | None = None,
) -> Receipt:
    """Write the receipt of a stage that has just ended.

    Args:
        folder: Where the stage's artefacts are; nobody else writes there.
        inputs: Everything that decides the result, by name.
        result: The path that the stage returned, in `folder` or that folder itself.
        seconds: What the stage took.
        run_id: The MLflow run that recorded it.
    """
    receipt = Receipt(
        inputs=_digests(inputs),
        outputs={str(path.relative_to(folder)): _artefact(path) for path in _artefacts(folder)},
        result=str(result.relative_to(folder)),
        seconds=round(seconds, 3),
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        run_id=run_id,
    )
    text = receipt.model_dump_json(indent=1)
    files.write_atomically(folder / NAME, lambda file: file.write(text.encode()))
    return receipt


def verified(folder: Path, inputs: Mapping[str, JsonValue]) -> Receipt | None:
    """Give the folder's receipt if it still holds; say why if there is one that doesn't."""
    receipt = read(folder)
    if receipt is None:
        return None
    difference = _difference(receipt, folder, _digests(inputs))
    if difference:
        console.say(f"{folder}: {difference}, so it is made again")
        return None
    return receipt


def read(folder: Path) -> Receipt | None:
    """Read the folder's receipt; one that is missing or damaged proves nothing and is None."""
    try:
        return Receipt.model_validate_json((folder / NAME).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def forget(folder: Path) -> None:
    """Remove the receipts of a folder and of all below, so that every stage runs again."""
    for path in folder.rglob(NAME):
        path.unlink()


@functools.cache
def code() -> str:
    """Give the sha256 of polyspace's own source: other code may well make other artefacts."""
    root = Path(polyspace.__path__[0])
    digest = hashlib.sha256(polyspace.__name__.encode())
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)} {files.sha256_file(path)}\n".encode())
    return digest.hexdigest()


def _difference(receipt: Receipt, folder: Path, inputs: Mapping[str, str]) -> str | None:
    """Say in a few words what is not as the receipt has it; None if all of it is."""
    for name in sorted(receipt.inputs.keys() | inputs.keys()):
        if receipt.inputs.get(name) != inputs.get(name):
            return f"{name} changed"
    for name, artefact in receipt.outputs.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if _artefact(path) != artefact:
            return f"{name} changed"
    return None


def _digests(inputs: Mapping[str, JsonValue]) -> dict[str, str]:
    """Name every input by the sha256 of its canonical JSON; the code is always one of them."""
    everything: dict[str, JsonValue] = {**inputs, "code": code()}
    return {
        name: hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
        for name, value in everything.items()
    }


def _artefacts(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / NAME)


def _artefact(path: Path) -> Artefact:
    return Artefact(size_bytes=path.stat().st_size, sha256=files.sha256_file(path))

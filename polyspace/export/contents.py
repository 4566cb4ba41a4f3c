"""The folder that an export is: what lies in it, and the proof that nothing else does.

::

    config.json        architecture, student and its preprocessing, classes, quantization_info
    model.safetensors  (or model.onnx, model.pt2): the model
    proof.json         how it compared with its source; proof.html shows it
    README.md          the model card
    SHA256SUMS         of all the above, as ``sha256sum --check`` reads it

It appears whole, in one rename; what reads it checks every listed file first.
"""

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from polyspace.errors import CheckpointError, ExportError
from polyspace.files import sha256_file, sync_folder, write_atomically

FORMAT = 2

CONFIG = "config.json"
PROOF = "proof.json"
SUMS = "SHA256SUMS"

LINE = re.compile(r"([0-9a-f]{64})  ([\w.\-]+)")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write plain values, whole or not at all."""
    text = json.dumps(content, indent=1, allow_nan=False).encode()
    write_atomically(path, lambda file: file.write(text))


def seal(folder: Path) -> None:
    """Write down what every file of a folder holds; the last thing before it is published."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name != SUMS)
    text = "".join(f"{sha256_file(folder / name)}  {name}\n" for name in names).encode()
    write_atomically(folder / SUMS, lambda file: file.write(text))


def verify(folder: Path) -> None:
    """Check every byte of a bundle against what was written.

    Raises:
        CheckpointError: It is no bundle, a file is missing or altered, or the list itself is.
    """
    sums = folder / SUMS
    if not sums.is_file():
        raise CheckpointError(
            f"{folder} is not a bundle: it has no {SUMS}; give the folder that "
            f"polyspace.export.bundle wrote"
        )
    listed = dict(_listed(sums))
    for needed in (CONFIG, PROOF):
        if needed not in listed:
            raise CheckpointError(f"{sums} lists no {needed}: {_REMEDY}")
    for name, digest in listed.items():
        path = folder / name
        if not path.is_file() or sha256_file(path) != digest:
            raise CheckpointError(
                f"{path} is missing, or not the file that was exported: {_REMEDY}"
            )


def read_config(folder: Path) -> dict[str, Any]:
    """Read a verified bundle's config.json.

    Raises:
        CheckpointError: It is of another version.
    """
    content = json.loads((folder / CONFIG).read_text())
    if content["format"] != FORMAT:
        raise CheckpointError(
            f"{folder} has format {content['format']}, this PolySpace reads {FORMAT}: {_REMEDY}"
        )
    return content


def refuse_other(out: Path) -> None:
    """Refuse to put a bundle in the place of something that is none.

    Raises:
        ExportError: There is a file, or a folder that no export wrote.
    """
    if out.is_dir() and (not any(out.iterdir()) or (out / SUMS).is_file()):
        return
    if out.exists():
        raise ExportError(
            f"{out} exists and is no bundle: nothing was written; name another --out, or remove it"
        )


def publish(partial: Path, out: Path) -> None:
    """Put a finished folder in the place of the old one.

    A process that is killed in between leaves the old one as it was, or beside it as NAME.old;
    `recover` puts that back.
    """
    refuse_other(out)
    old = _old(out)
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    partial.rename(out)
    sync_folder(out.parent)
    shutil.rmtree(old, ignore_errors=True)


def recover(out: Path) -> None:
    """Undo what a process left that was killed while it published."""
    if not out.exists() and _old(out).is_dir():
        _old(out).rename(out)


def size(folder: Path, names: Iterable[str]) -> int:
    """Give the bytes of some files."""
    return sum((folder / name).stat().st_size for name in names)


_REMEDY = "export the bundle again, or copy it again"


def _old(out: Path) -> Path:
    return out.with_name(f"{out.name}.old")


def _listed(sums: Path) -> Iterable[tuple[str, str]]:
    try:
        text = sums.read_bytes().decode("ascii")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{sums} is damaged: {_REMEDY}") from error
    for line in text.split("\n")[:-1] if text.endswith("\n") else [""]:
        found = LINE.fullmatch(line)
        if not found:
            raise CheckpointError(f"{sums} is damaged: {_REMEDY}")
        yield found[2], found[1]

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
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from polyspace.errors import CheckpointError
from polyspace.files import sha256_file, write_atomically

FORMAT = 2

CONFIG = "config.json"
PROOF = "proof.json"
CARD = "README.md"
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


def verify(folder: Path, *, needed: Collection[str] = (CONFIG, PROOF)) -> None:
    """Check every byte of a bundle against what was written.

    Args:
        folder: The bundle.
        needed: Files that have to be among those that are listed.

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
    for name in needed:
        if name not in listed:
            raise CheckpointError(f"{sums} lists no {name}: {_REMEDY}")
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


def size(folder: Path, names: Iterable[str]) -> int:
    """Give the bytes of some files."""
    return sum((folder / name).stat().st_size for name in names)


_REMEDY = "export the bundle again, or copy it again"


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

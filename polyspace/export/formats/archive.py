"""Archives of torch.export, looked through before torch reads them.

`torch.export.load` (torch 2.13) is no safe reader. It unpickles, with ``weights_only=False``,
weights and constants whose entry in a JSON says ``use_pickle``; example inputs that the safe
reader refuses; and whatever lies in the places of older versions. It follows operators by name
from ``torch`` to any function that can be reached from there, and calls them; it evaluates
expressions of sizes as Python (sympy), and checks of inputs (``guards_code``); and names of nodes
become source code. So an archive is written here without pickles, checks and notes, and one that
holds more than what is written here is refused before torch sees it.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast
from zipfile import BadZipFile, ZipFile

from polyspace.errors import CheckpointError

ENTRIES = re.compile(
    r"[\w\-]+/(archive_format|archive_version|byteorder|\.data/version|\.data/serialization_id"
    r"|models/model\.json|data/sample_inputs/model\.pt"
    r"|data/weights/(weight_\d+|model_weights_config\.json)"
    r"|data/constants/(tensor_\d+|model_constants_config\.json))"
)
"""Files of an archive of weights and one graph; programs, pickles and extras have other names."""

EMPTY = "data/sample_inputs/model.pt"
"""The one place that is for a pickle; it is written empty."""

NAME = re.compile(r"[\w.]*")
"""Names of nodes, weights, types and arguments."""

TARGET = re.compile(
    r"torch\.ops\.aten\.\w+\.\w+|_operator\.(add|sub|mul|floordiv|mod|neg|getitem|eq|ge|gt|le|lt)"
)
"""What a node may call: torch's own operators, and arithmetic of sizes."""

SIZE = re.compile(
    r"(Symbol\('s\d+'(, (positive|integer|nonnegative)=True)*\)|Integer\(-?\d+\)"
    r"|\b(FloorDiv|Mod|ModularIndexing|Mul|Add|Pow|Max|Min)\b|[-+*(), \d])*"
)
"""Expressions of sizes: the free number of clips, whole numbers and arithmetic."""

PLAIN: dict[str, re.Pattern[str]] = {
    "target": TARGET,
    "as_operator": TARGET,
    "expr_str": SIZE,
    "as_float": re.compile(r"-?Infinity|NaN"),
    "in_spec": re.compile(r'[\w\s.:,"\[\]{}]*'),
    "out_spec": re.compile(r'[\w\s.:,"\[\]{}]*'),
    "torch_version": re.compile(r"[\w.+]*"),
}
"""What may stand in which field of a graph; in all others, a name."""


def refuse_hostile(path: Path) -> None:
    """Refuse an archive that could make `torch.export.load` run anything but a network.

    Raises:
        CheckpointError: It holds what no export of ours does; the message says what.
    """
    try:
        with ZipFile(path) as archive:
            _refuse_entries(path, archive)
            for entry in archive.infolist():
                if entry.filename.endswith(".json"):
                    _refuse_strings(path, entry.filename, json.loads(archive.read(entry)))
    except (BadZipFile, ValueError) as error:
        raise CheckpointError(f"{path} is damaged ({error}): {_REMEDY}") from error


_REMEDY = "export it again with polyspace.export.bundle"


def _refuse_entries(path: Path, archive: ZipFile) -> None:
    names = [entry.filename for entry in archive.infolist()]
    # Of two files of one name, torch might read the other one than we do.
    if len({name.lower() for name in names}) < len(names):
        raise _hostile(path, "two files of one name")
    if len({name.partition("/")[0] for name in names}) > 1:
        raise _hostile(path, "more than one archive")
    for entry in archive.infolist():
        inside = entry.filename.partition("/")[2]
        if not ENTRIES.fullmatch(entry.filename) or (inside == EMPTY and entry.file_size):
            raise _hostile(path, f"the file {entry.filename!r}")


def _refuse_strings(path: Path, name: str, content: object) -> None:
    for field, value in _strings(content):
        if not PLAIN.get(field, NAME).fullmatch(value):
            raise _hostile(path, f"{value[:60]!r} as {field or 'a name'} in {name}")


def _strings(content: object, field: str = "") -> Iterator[tuple[str, str]]:
    """Give every string of a JSON value, and every key, with the field that it stands in."""
    if isinstance(content, str):
        yield field, content
    elif isinstance(content, list):
        for value in cast("list[object]", content):
            yield from _strings(value, field)
    elif isinstance(content, dict):
        for key, value in cast("dict[str, object]", content).items():
            yield "", key
            # Both make torch unpickle, or run, what stands there.
            if key in ("use_pickle", "guards_code") and value:
                yield key, f"{key}: {value}"
            yield from _strings(value, key)


def _hostile(path: Path, what: str) -> CheckpointError:
    return CheckpointError(
        f"{path} holds {what}, which no export writes and which could run code: {_REMEDY}"
    )

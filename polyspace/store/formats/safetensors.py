"""safetensors: ``tokens/videomae`` and the like, and labels; everything else is in its metadata.

The file is written here rather than by the library, which wants all tensors in memory at once: the
length of a JSON header, the header, and the tensors one after the other.

Source: https://github.com/huggingface/safetensors, "Format".
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from math import prod
from typing import BinaryIO

import torch

from polyspace.precision import StorageType
from polyspace.progress import Progress
from polyspace.store.formats.selection import Selection

TYPES: tuple[StorageType, ...] = ("float16", "bfloat16", "float32")
"""Types that it has."""

NAMES = {
    torch.int64: "I64",
    torch.float64: "F64",
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
}
ALIGNMENT = 8


def write(file: BinaryIO, selection: Selection) -> Iterator[Progress]:
    """Write the file; tensors of larger elements come first, so that each is aligned."""
    columns = sorted(selection.columns, key=lambda column: -column.dtype.itemsize)
    aligned = replace(selection, columns=tuple(columns))
    header = json.dumps({"__metadata__": _metadata(aligned), **_tensors(aligned)}).encode()
    padded = header.ljust(-(-len(header) // ALIGNMENT) * ALIGNMENT)
    file.write(len(padded).to_bytes(8, "little") + padded)
    file.write(aligned.labels.astype("<i8").data)
    for column in aligned.columns:
        yield from aligned.stream(column, file.write)


def _metadata(selection: Selection) -> dict[str, str]:
    """Say what the clips are, each fact as text: JSON, unless it is text anyway."""
    facts = {**selection.facts, "ids": selection.ids, "groups": selection.groups}
    return {
        name: fact if isinstance(fact, str) else json.dumps(fact) for name, fact in facts.items()
    }


def _tensors(selection: Selection) -> dict[str, object]:
    """Say of each tensor where its bytes begin and end behind the header."""
    rows = {"labels": (torch.int64, ())}
    rows |= {column.name: (column.dtype, column.row_shape) for column in selection.columns}
    entries: dict[str, object] = {}
    start = 0
    for name, (dtype, row_shape) in rows.items():
        shape = (len(selection.rows), *row_shape)
        stop = start + prod(shape) * dtype.itemsize
        entries[name] = {"dtype": NAMES[dtype], "shape": shape, "data_offsets": [start, stop]}
        start = stop
    return entries

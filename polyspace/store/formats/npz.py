"""numpy's archive: ``np.load("x.npz")["tokens/videomae"]`` is [clip view time space dim].

Beside the columns are ids, groups, labels, class_names, and metadata, a JSON text.
"""

import json
from collections.abc import Iterator
from typing import BinaryIO
from zipfile import ZipFile, ZipInfo

import numpy as np
from numpy.lib import format as npy

from polyspace.precision import StorageType
from polyspace.progress import Progress
from polyspace.store.formats.selection import Column, Selection

TYPES: tuple[StorageType, ...] = ("float16", "float32")
"""Types that numpy has, too."""


def write(file: BinaryIO, selection: Selection) -> Iterator[Progress]:
    """Write the archive, not compressed, because features hardly shrink."""
    texts = {
        "ids": selection.ids,
        "groups": selection.groups,
        "class_names": selection.facts["class_names"],
        "metadata": json.dumps(selection.facts),
    }
    few = {name: np.array(text, dtype=np.str_) for name, text in texts.items()}
    with ZipFile(file, "w") as archive:
        for name, values in {**few, "labels": selection.labels}.items():
            with archive.open(_member(name), "w") as member:
                npy.write_array(member, values, allow_pickle=False)
        for column in selection.columns:
            with archive.open(_member(column.name), "w", force_zip64=True) as member:
                npy.write_array_header_1_0(member, _header(selection, column))
                yield from selection.stream(column, member.write)


def _member(name: str) -> ZipInfo:
    """Name an array; without the time, so that the same features are the same file."""
    return ZipInfo(f"{name}.npy")


def _header(selection: Selection, column: Column) -> dict[str, object]:
    return {
        "shape": (len(selection.rows), *column.row_shape),
        "fortran_order": False,
        "descr": f"<f{column.dtype.itemsize}",
    }

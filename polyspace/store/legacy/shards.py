"""Shards in each of their three forms, read as clips.

::

    *.pkl      a list of clips
    folder/    labels.npy, paths.npy, and of each backbone <name>_concat.npy, all clips' tokens one
               after the other, and <name>_offs.npy, where each clip's begin
    *.npz      the same arrays, or <name> with an entry per clip; also ids and groups, and, not per
               clip, class_names

What `polyspace store export` writes as npz is such an archive.
"""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from polyspace.errors import CorruptStoreError, StoreError
from polyspace.store.legacy.clips import REMEDY, LegacyClip
from polyspace.store.legacy.unpickler import load_records

INFLATION = 100
"""How many times larger than its file an archive's content may be; features shrink by percents."""

COLUMNS = {"paths": "path", "ids": "id", "labels": "label", "groups": "group"}
"""What is said about clips: the column, and what a pickled clip calls it."""

SHARED = ("class_names", "metadata")
"""Arrays of an archive that have no entry per clip."""

Columns = Mapping[str, Shaped[ndarray, "..."]]


@dataclass(frozen=True, eq=False)
class Shard:
    """All that a shard holds."""

    clips: Sequence[LegacyClip]
    class_names: tuple[str, ...] | None = None
    """Where the shard says them."""


def is_folder_of_arrays(path: Path) -> bool:
    """Tell a shard that is a folder from a folder of shards."""
    return (path / "labels.npy").is_file()


def read(path: Path) -> Shard:
    """Read a shard; a folder's features are mapped, everything else is in memory.

    Raises:
        StoreError: It holds something else than clips and their features; nothing was executed.
        CorruptStoreError: It is damaged.
    """
    try:
        return _read(path)
    except StoreError as error:
        raise StoreError(f"{path} {_line(error)}") from error
    # Altered bytes make the readers of pickles, archives and arrays raise whatever they like.
    except Exception as error:
        raise CorruptStoreError(
            f"{path} is damaged, or not what its name says ({type(error).__name__}: "
            f"{_line(error)}): restore it from a copy"
        ) from error


def _line(error: Exception) -> str:
    """Put a message that may quote the file on one line, and keep a terminal from obeying it."""
    return "".join(char if char.isprintable() else " " for char in str(error))


def _read(path: Path) -> Shard:
    if path.is_dir():
        return _of_columns(_folder(path))
    if path.suffix == ".npz":
        return _of_columns(_archive(path))
    return Shard([LegacyClip.of(record) for record in load_records(path)])


def _folder(path: Path) -> Columns:
    files = sorted(path.glob("*.npy"))
    return {file.stem: np.load(file, mmap_mode="r", allow_pickle=False) for file in files}


def _archive(path: Path) -> Columns:
    with zipfile.ZipFile(path) as members:
        inflated = sum(member.file_size for member in members.infolist())
    size = path.stat().st_size
    if inflated > INFLATION * size:
        raise StoreError(
            f"has {size} bytes and would fill {inflated}, which features never do: "
            f"write it again without compression"
        )
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _of_columns(arrays: Columns) -> Shard:
    """Cut columns into clips.

    Raises:
        StoreError: A column is missing, or has another length than the labels.
    """
    if "labels" not in arrays:
        raise StoreError(f"holds no labels, only {', '.join(arrays) or 'nothing'}: {REMEDY}")
    said = {key: arrays[name].tolist() for name, key in COLUMNS.items() if name in arrays}
    columns = said | dict(_features(arrays, count=len(said["label"])))
    for name, column in columns.items():
        if len(column) != len(said["label"]):
            raise StoreError(
                f"has {len(said['label'])} labels, but {name} of {len(column)} clips: {REMEDY}"
            )
    rows = zip(*columns.values(), strict=True)
    clips = [LegacyClip.of(dict(zip(columns, row, strict=True))) for row in rows]
    names = arrays.get("class_names")
    return Shard(clips, None if names is None else tuple(map(str, names)))


def _features(
    arrays: Columns, count: int
) -> Iterator[tuple[str, Sequence[Shaped[ndarray, "..."]]]]:
    """Give for each backbone what it saw of every clip."""
    for name, array in arrays.items():
        owner, _, ending = name.rpartition("_")
        if name in COLUMNS or name in SHARED or (ending == "offs" and f"{owner}_concat" in arrays):
            continue
        if ending == "concat":
            yield owner, _parts(owner, array, arrays.get(f"{owner}_offs"), count)
        else:
            yield name, list(array) if array.ndim else []


def _parts(
    name: str, joined: Shaped[ndarray, "..."], offsets: Shaped[ndarray, "..."] | None, count: int
) -> list[Shaped[ndarray, "..."]]:
    """Part the tokens of all clips that were joined to one array."""
    bounds = [] if offsets is None else offsets.tolist()
    fits = len(bounds) == count + 1 and (bounds[0], bounds[-1]) == (0, len(joined))
    if not fits or bounds != sorted(bounds):
        raise StoreError(
            f"has {name} of {len(joined)} tokens with {len(bounds)} offsets, expected {count + 1} "
            f"that rise from 0 to {len(joined)}: {REMEDY}"
        )
    return [joined[start:stop] for start, stop in pairwise(bounds)]

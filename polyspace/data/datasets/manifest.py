"""`manifest`: any videos, with a table that says what they are.

::

    root/manifest.csv or root/manifest.parquet                path,label[,split,group,id]
    root/…

A path is relative to the root, with forward slashes. Splits are train, validation (or val) and
test; without that column a quarter of the groups of each class is the test split. A group is what
must not be shared between splits, such as the source video; without that column every file is one
of its own. An id is the path if there is none. Classes are the labels of the whole table: in the
order of their numbers if all are whole numbers, else in alphabetical order.
"""

from importlib import import_module
from pathlib import Path
from typing import Any, get_args

from polyspace.data.clips import Clip, Manifest, Split
from polyspace.data.datasets import annotations, labels, listing
from polyspace.data.datasets.annotations import Row
from polyspace.data.splits import part
from polyspace.errors import ConfigError, DatasetError, LabelError

NAME = "manifest"
REQUIRED = ("path", "label")
OPTIONAL = ("split", "group", "id")
SPLITS: dict[str, Split] = {**{name: name for name in get_args(Split)}, "val": "validation"}


def splits(root: Path) -> tuple[Split, ...]:
    """Give the splits that the table names; train and test where it names none.

    Raises:
        DatasetError: There is no table, or it isn't as it should be.
    """
    rows = _rows(_file(root))
    named = {_split(row, root) for row in rows if "split" in row} or {"train", "test"}
    parts: tuple[Split, ...] = ("train", "validation", "test")
    return tuple(part for part in parts if part in named)


def read(root: Path, split: Split) -> Manifest:
    """List the clips of a split.

    Raises:
        DatasetError: There is no table, it isn't as it should be, or none of its files is there.
        LabelError: A clip has no label.
        ConfigError: The table is a parquet file, and what reads it isn't installed.
    """
    file = _file(root)
    rows = _rows(file)
    class_names = _class_names(rows, file)
    places = {name: place for place, name in enumerate(class_names)}
    clips = [_clip(row, places[row["label"]], f"{file}, row {n}") for n, row in enumerate(rows, 1)]
    if not any((root / clip.path).exists() for clip in clips):
        raise DatasetError(
            f"none of the {len(clips)} files in {file} is under {root}, first "
            f"{clips[0].path!r}: expected paths relative to it"
        )
    if "split" not in rows[0]:
        return Manifest(NAME, split, root, class_names, part(clips, split))
    kept = (c for c, row in zip(clips, rows, strict=True) if _split(row, root) == split)
    return Manifest(NAME, split, root, class_names, tuple(kept))


def _file(root: Path) -> Path:
    files = [root / "manifest.csv", root / "manifest.parquet"]
    there = [file for file in files if file.is_file()]
    if len(there) != 1:
        raise DatasetError(
            f"{root} has {'both' if there else 'neither'} manifest.csv and manifest.parquet: "
            "expected one of them"
        )
    return there[0]


def _rows(file: Path) -> list[Row]:
    if file.suffix == ".csv":
        rows = annotations.rows(file, REQUIRED, OPTIONAL)
    else:
        rows = _parquet_rows(file)
    if not rows:
        raise DatasetError(f"{file} lists no clips")
    return rows


def _parquet_rows(file: Path) -> list[Row]:
    """Read a parquet file; only then the package that reads it is imported."""
    try:
        parquet: Any = import_module("pyarrow.parquet")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{file} is read by {error.name}, which isn't installed: pip install "
            "polyspace[parquet], or write the table as manifest.csv"
        ) from error
    try:
        table = parquet.read_table(file)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{file} is no parquet file: {error}") from error
    annotations.check_columns(file, table.column_names, REQUIRED, OPTIONAL)
    rows: list[dict[str, object]] = table.to_pylist()
    return [{name: _text(value) for name, value in row.items()} for row in rows]


def _text(value: object) -> str:
    """Say a value as a CSV file would say it: nothing for none."""
    return "" if value is None else str(value).strip()


def _class_names(rows: list[Row], file: Path) -> tuple[str, ...]:
    if without := [row["path"] for row in rows if not row["label"]]:
        raise LabelError(
            f"{len(without)} of {len(rows)} clips in {file} have no label, first "
            f"{labels.quoted(without)}"
        )
    names = {row["label"] for row in rows}
    numbered = all(name.isdecimal() and str(int(name)) == name for name in names)
    return tuple(sorted(names, key=int) if numbered else sorted(names))


def _clip(row: Row, label: int, where: str) -> Clip:
    path = listing.relative(row["path"], where)
    empty = [name for name in ("group", "id") if row.get(name) == ""]
    if empty:
        raise DatasetError(f"{where}: the {empty[0]} of {path!r} is empty: every row needs one")
    return Clip(row.get("id", path), path, label, row.get("group", path))


def _split(row: Row, root: Path) -> Split:
    if row["split"] not in SPLITS:
        raise DatasetError(
            f"{_file(root)}: {row['path']!r} has the split {row['split']!r}: expected one of "
            f"{', '.join(SPLITS)}"
        )
    return SPLITS[row["split"]]

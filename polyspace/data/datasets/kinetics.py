"""Kinetics 400, 600, 700, and whatever else is annotated like them.

::

    root/[annotations/]{train,val,test}.csv         label,youtube_id,time_start,time_end,split
    root/…/<youtube_id>_<start>_<end>.mp4           seconds in six digits, in any folder

validate.csv is the same as val.csv. The classes are the labels of train.csv in alphabetical order,
by which published models number them. A group is the YouTube video. Many videos have been deleted
from there: clips that are listed and not on disk are quarantined as missing, and counted.

Source: https://github.com/cvdfoundation/kinetics-dataset.
"""

import re
from pathlib import Path

from polyspace.data.clips import Clip, Manifest, Split
from polyspace.data.datasets import annotations, labels, listing
from polyspace.data.datasets.annotations import Row
from polyspace.errors import DatasetError, LabelError

NAME = "kinetics"
COLUMNS = ("label", "youtube_id", "time_start", "time_end", "split")
CALLED: dict[str, tuple[str, ...]] = {
    "train": ("train",),
    "validation": ("val", "validate"),
    "test": ("test",),
}
"""What each split is called, as a file and in the column."""


def splits(root: Path) -> tuple[Split, ...]:
    """Give the splits that a folder has a list of; train is always meant to be there."""
    parts: tuple[Split, ...] = ("train", "validation", "test")
    return tuple(p for p in parts if p == "train" or _file(root, p).is_file())


def read(root: Path, split: Split) -> Manifest:
    """List the clips of a split.

    Raises:
        DatasetError: A list is missing or not as it should be, or no video is there.
        LabelError: A label is none of those in train.csv, or is empty.
    """
    rows = _rows(root, split)
    train = rows if split == "train" else _rows(root, "train")
    class_names = tuple(sorted({row["label"] for row in train}))
    names = [_name(row, _file(root, split)) for row in rows]
    named = [(name, row["label"]) for name, row in zip(names, rows, strict=True)]
    places = labels.numbers(NAME, named, class_names)
    found = listing.by_name(listing.videos(root, root))
    clips = tuple(
        Clip(name, listing.place(found, name, f"{name}.mp4", split), label, row["youtube_id"])
        for name, row, label in zip(names, rows, places, strict=True)
    )
    listing.refuse_when_none_is_there(clips, found, root, "<youtube_id>_<start>_<end>.mp4")
    return Manifest(NAME, split, root, class_names, clips)


def _file(root: Path, split: Split) -> Path:
    folder = root / "annotations" if (root / "annotations").is_dir() else root
    files = [folder / f"{name}.csv" for name in CALLED[split]]
    return next((file for file in files if file.is_file()), files[0])


def _rows(root: Path, split: Split) -> list[Row]:
    file = _file(root, split)
    rows = annotations.rows(file, COLUMNS)
    if others := {row["split"] for row in rows} - set(CALLED[split]):
        raise DatasetError(
            f"{file} lists clips of the split {sorted(others)[0]!r}: expected {CALLED[split][0]!r}"
        )
    if without := [row["youtube_id"] for row in rows if not row["label"]]:
        raise LabelError(
            f"{len(without)} of {len(rows)} clips in {file} have no label, first "
            f"{labels.quoted(without)}"
        )
    return rows


def _name(row: Row, file: Path) -> str:
    """Give what the file of a clip is called, without its ending."""
    times = [row["time_start"], row["time_end"]]
    known = re.fullmatch(r"[\w-]+", row["youtube_id"])
    if not known or not all(re.fullmatch(r"\d+(\.0+)?", time) for time in times):
        raise DatasetError(
            f"{file}: found {row['youtube_id']!r} from {times[0]!r} to {times[1]!r}, expected a "
            "YouTube id and whole seconds"
        )
    start, end = (int(float(time)) for time in times)
    return f"{row['youtube_id']}_{start:06d}_{end:06d}"

"""HMDB51, as it is published or with a table in the folder of each split.

::

    root/<class>/<clip>.avi                                   or root/hmdb51_org/<class>/…
    root/testTrainMulti_7030_splits/<class>_test_split{1,2,3}.txt

    root/{train,validation,test}/metadata.csv                 with the clips beside it

A line of a list is a clip and 1 (train), 2 (test) or 0 (neither). A table has the columns file_name
and label, a class's name or its number; original_filename, if there, is what the clip was called.
Classes have the numbers of the official order whatever a split lists, in whatever order. A group is
the film or the video that a clip was cut from, as its name says; the official lists part each class
for itself, so that a film may be in the train list of one and in the test list of another.

Source: https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database/.
"""

import re
from pathlib import Path

from polyspace.data.clips import Clip, Manifest, Split
from polyspace.data.datasets import annotations, labels, listing
from polyspace.errors import DatasetError, LabelError

NAME = "hmdb51"
LISTS = "testTrainMulti_7030_splits"
TABLE = "metadata.csv"
FLAGS = {"train": "1", "test": "2"}
CALLED = "<source>_<class>_f_cm_np1_fr_goo_0.avi"
_QUALITIES = re.compile(r"(.+)_[a-z]_[a-z]{2}_np\d+_[a-z]{2}_[a-z]{3}_\d+")


def splits(root: Path, *, number: int = 1) -> tuple[Split, ...]:
    """Give the splits that a folder has, of one of the three ways; tables know one way alone."""
    if not _has_tables(root):
        return ("train", "test")
    if number != 1:
        return ()
    parts: tuple[Split, ...] = ("train", "validation", "test")
    return tuple(part for part in parts if (root / part / TABLE).is_file())


def read(root: Path, split: Split, *, number: int = 1) -> Manifest:
    """List the clips of a split.

    Args:
        root: Folder of the class folders and the lists, or of the splits' folders.
        split: train or test; validation where it has a table.
        number: Which of the three lists.

    Raises:
        DatasetError: A list or a table is missing, or no clip is where it should be.
        LabelError: A label is none of the 51 classes, or not the one that a file's name says.
    """
    class_names = labels.table(NAME)
    if not _has_tables(root):
        clips = _listed(root, split, number, class_names)
    elif number == 1:
        clips = _tabled(root, split, class_names)
    else:
        raise DatasetError(
            f"{root} has one split, in tables: {split}{number:02d} needs the lists in {LISTS}"
        )
    return Manifest(NAME, split, root, class_names, tuple(clips))


def _has_tables(root: Path) -> bool:
    return any((root / part / TABLE).is_file() for part in ("train", "validation", "test"))


def _listed(root: Path, split: Split, number: int, class_names: tuple[str, ...]) -> list[Clip]:
    """Read the lists of all classes."""
    folder = root / "hmdb51_org"
    home, prefix = (folder, f"{folder.name}/") if folder.is_dir() else (root, "")
    found = listing.videos(root, home)
    clips: list[Clip] = []
    for label, class_name in enumerate(class_names):
        file = root / LISTS / f"{class_name}_test_split{number}.txt"
        entries = [_entry(line, file) for line in annotations.lines(file)]
        names = [name for name, flag in entries if flag == FLAGS[split]]
        _refuse_other_names(names)
        for name in names:
            key = f"{class_name}/{Path(name).stem}"
            path = listing.place(found, key, f"{prefix}{key}.avi", file.name)
            clips.append(Clip(Path(name).stem, path, label, _group(name, class_name)))
    listing.refuse_when_none_is_there(clips, found, home, "<class>/<clip>.avi")
    return clips


def _entry(line: str, file: Path) -> tuple[str, str]:
    """Part a line of a list into the clip's name and its flag."""
    name, _, flag = line.rpartition(" ")
    if flag not in ("0", "1", "2") or not name.strip():
        raise DatasetError(f"{file}: found {line!r}, expected a clip's name and 0, 1 or 2")
    return name.strip(), flag


def _tabled(root: Path, split: Split, class_names: tuple[str, ...]) -> list[Clip]:
    """Read the table of one split."""
    file = root / split / TABLE
    rows = annotations.rows(file, ("file_name", "label"))
    paths = [f"{split}/{listing.relative(row['file_name'], str(file))}" for row in rows]
    named = [_class_name(row["label"], class_names) for row in rows]
    places = labels.numbers(NAME, list(zip(paths, named, strict=True)), class_names)
    called = [row.get("original_filename") or Path(row["file_name"]).name for row in rows]
    _refuse_other_names(called)
    _refuse_other_classes(called, named)
    clips = [
        Clip(Path(path).stem, path, label, _group(name, class_name))
        for path, label, name, class_name in zip(paths, places, called, named, strict=True)
    ]
    found = listing.videos(root, root / split)
    listing.refuse_when_none_is_there(clips, found, root / split, "the file_name of the table")
    return clips


def _class_name(label: str, class_names: tuple[str, ...]) -> str:
    """Give the name of a class that a table calls by its number."""
    known = label.isdecimal() and int(label) < len(class_names)
    return class_names[int(label)] if known else label


def _refuse_other_names(names: list[str]) -> None:
    wrong = (name for name in names if not _QUALITIES.fullmatch(Path(name).stem))
    listing.refuse_unreadable_names(wrong, NAME, CALLED)


def _refuse_other_classes(names: list[str], class_names: list[str]) -> None:
    """Refuse labels that contradict the names: numbers in another order than the official one."""
    pairs = list(zip(names, class_names, strict=True))
    wrong = [pair for pair in pairs if not _source(pair[0]).endswith(f"_{pair[1]}")]
    if wrong:
        raise LabelError(
            f"{len(wrong)} of {len(pairs)} labels of {NAME} contradict the files' names, first "
            f"{wrong[0][0]!r} with the label {wrong[0][1]!r}: expected a class's name, or its "
            "number in alphabetical order, from 0"
        )


def _group(name: str, class_name: str) -> str:
    return _source(name).removesuffix(f"_{class_name}")


def _source(name: str) -> str:
    """Give what stands before the qualities in a name: the source and, mostly, the class."""
    match = _QUALITIES.fullmatch(Path(name).stem)
    return match[1] if match else Path(name).stem

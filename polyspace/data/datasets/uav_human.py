"""UAV-Human: actions filmed from a drone.

::

    root/all_rgb/P070S01G10B00H10UC102000LC092000A031R0_09131758.avi
    root/classes_map.csv                                      id,label: A000,drink …

A name says the person (P), who is the group, and the action (A), which is the class's number. Who
is trained on is laid down for Cross-Subject-v1 (train, train01) and v2 (train02); everyone else is
tested on.

Source: https://github.com/sutdcv/UAV-Human.
"""

import re
from pathlib import Path

from polyspace.data.clips import Clip, Manifest, Split
from polyspace.data.datasets import annotations, labels, listing
from polyspace.errors import DatasetError

NAME = "uav-human"
CALLED = "P070S01G10B00H10UC102000LC092000A031R0_09131758.avi"
PERSONS = 120
_VIDEO = re.compile(r"(P\d{3})S\d+G\d+B\d+H\d+UC\d+LC\d+(A\d{3})R\d+_\d+")


def read(root: Path, split: Split, *, number: int = 1) -> Manifest:
    """List the clips of a split.

    Args:
        root: Folder of ``all_rgb`` and the classes.
        split: train or test.
        number: 1 for Cross-Subject-v1, 2 for v2.

    Raises:
        DatasetError: The classes or the videos are missing, or a file isn't called as it should be.
        LabelError: An action is none of the classes.
    """
    codes, class_names = _classes(root / "classes_map.csv")
    trained = set(labels.table(f"{NAME}_train_v{number}"))
    found = listing.videos(root, root / "all_rgb")
    wrong = (path for key, path in found.items() if not _is_called_so(key))
    listing.refuse_unreadable_names(wrong, NAME, CALLED)
    places = labels.numbers(NAME, [(path, _part(key, 2)) for key, path in found.items()], codes)
    clips = tuple(
        Clip(key, path, label, _part(key, 1))
        for (key, path), label in zip(found.items(), places, strict=True)
        if (_part(key, 1) in trained) == (split == "train")
    )
    return Manifest(NAME, split, root, class_names, clips)


def _classes(file: Path) -> tuple[list[str], tuple[str, ...]]:
    """Read the actions' codes, which must be A000, A001, … in order, and their names."""
    rows = annotations.rows(file, ("id", "label"))
    codes = [row["id"] for row in rows]
    if not codes or codes != [f"A{number:03d}" for number in range(len(codes))]:
        raise DatasetError(f"{file}: expected the ids A000, A001, … in this order")
    return codes, tuple(row["label"] for row in rows)


def _is_called_so(key: str) -> bool:
    return _VIDEO.fullmatch(key) is not None and int(_part(key, 1)[1:]) < PERSONS


def _part(key: str, number: int) -> str:
    """Give the person (1) or the action (2) that a file's name says."""
    match = _VIDEO.fullmatch(key)
    return match[number] if match else ""

"""The data sets there are, by name, and the splits that each of them has."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from polyspace.data.clips import Manifest, Split
from polyspace.data.datasets import folder_of_classes, motion, ucf101
from polyspace.data.splits import validation
from polyspace.errors import DatasetError, UnknownNameError

OFFICIAL: tuple[Split, ...] = ("train", "test")
"""What every data set has; `validation` is a part of train (see `polyspace.data.splits`)."""

Reader = Callable[[Path, Split], Manifest]

READERS: Mapping[str, Mapping[str, Reader]] = {
    folder_of_classes.NAME: {"": folder_of_classes.read},
    motion.NAME: {"": motion.read},
    ucf101.NAME: {
        "": ucf101.read,
        "01": ucf101.read,
        "02": partial(ucf101.read, number=2),
        "03": partial(ucf101.read, number=3),
    },
}
"""For every data set its ways of splitting, by what is appended to the split's name: train02."""

NAMES: tuple[str, ...] = tuple(sorted(READERS))

FLIPPABLE: frozenset[str] = frozenset({ucf101.NAME})
"""Those whose classes don't tell left from right; of folders and lists nobody knows."""


def read(dataset: str, root: Path, split: str) -> Manifest:
    """List the clips of one split.

    Args:
        dataset: One of `NAMES`.
        root: Its folder.
        split: train, test or validation; of ucf101 also train02 and the like.

    Raises:
        UnknownNameError: There is no such data set, or it has no such split.
        DatasetError: The folder is missing or not laid out as it should be.
    """
    readers = _readers(dataset, root)
    known: dict[str, tuple[Split, str]] = {
        f"{part}{end}": (part, end) for part in (*OFFICIAL, "validation") for end in readers
    }
    if split not in known:
        raise UnknownNameError(f"split of {dataset}", split, known)
    part, end = known[split]
    if part == "validation":
        return validation(readers[end](root, "train"))
    return readers[end](root, part)


def splits(dataset: str, root: Path) -> tuple[Split, ...]:
    """Give the official splits of a data set: no clip is in two of them.

    Raises:
        UnknownNameError: There is no such data set.
        DatasetError: The folder is missing.
    """
    _readers(dataset, root)
    return OFFICIAL


def may_flip(dataset: str) -> bool:
    """Say whether a clip keeps its class when left and right are exchanged."""
    return dataset in FLIPPABLE


def _readers(dataset: str, root: Path) -> Mapping[str, Reader]:
    if dataset not in READERS:
        raise UnknownNameError("data set", dataset, NAMES)
    if not root.is_dir():
        raise DatasetError(f"the folder {root} of data set {dataset} doesn't exist: check --root")
    return READERS[dataset]

"""The data sets there are, by name, and the splits that each of them has."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from polyspace.data.clips import Manifest, Split
from polyspace.data.datasets import (
    breakfast,
    diving48,
    folder_of_classes,
    hmdb51,
    kinetics,
    manifest,
    motion,
    ssv2,
    uav_human,
    ucf101,
)
from polyspace.data.splits import validation
from polyspace.errors import DatasetError, UnknownNameError

PARTS: tuple[Split, ...] = ("train", "test", "validation")


def _train_and_test(root: Path) -> tuple[Split, ...]:
    """Name what nearly every data set has."""
    return ("train", "test")


@dataclass(frozen=True)
class Way:
    """One way of splitting a data set."""

    read: Callable[[Path, Split], Manifest]
    splits: Callable[[Path], tuple[Split, ...]] = _train_and_test
    """Its official splits; where `validation` is none of them, it is held out of train."""


@dataclass(frozen=True)
class Entry:
    """One data set."""

    ways: Mapping[str, Way]
    """Its ways of splitting, by what is appended to the split's name (train02)."""
    may_flip: bool
    """Whether a clip keeps its class when left and right are exchanged."""


def _one(
    read: Callable[[Path, Split], Manifest],
    splits: Callable[[Path], tuple[Split, ...]] = _train_and_test,
) -> dict[str, Way]:
    return {"": Way(read, splits)}


def _numbered(read: Callable[..., Manifest], count: int, default: int = 1) -> dict[str, Way]:
    """Give the ways of a data set that comes with several pairs of lists."""
    numbers = {"": default, **{f"{number:02d}": number for number in range(1, count + 1)}}
    return {end: Way(partial(read, number=number)) for end, number in numbers.items()}


ENTRIES: Mapping[str, Entry] = {
    breakfast.NAME: Entry(_numbered(breakfast.read, 4, default=4), may_flip=True),
    # A dive is forward, backward, inward or reverse from the board, on whichever side it stands.
    diving48.NAME: Entry(_one(diving48.read), may_flip=True),
    # Of folders and lists nobody knows what their classes tell apart.
    folder_of_classes.NAME: Entry(_one(folder_of_classes.read), may_flip=False),
    hmdb51.NAME: Entry(
        {
            end: Way(way.read, partial(hmdb51.splits, number=int(end or 1)))
            for end, way in _numbered(hmdb51.read, 3).items()
        },
        may_flip=True,
    ),
    kinetics.NAME: Entry(_one(kinetics.read, kinetics.splits), may_flip=True),
    manifest.NAME: Entry(_one(manifest.read, manifest.splits), may_flip=False),
    motion.NAME: Entry(_one(motion.read), may_flip=False),
    # "Pulling something from left to right" is another class when mirrored.
    ssv2.NAME: Entry(_one(ssv2.read, ssv2.splits), may_flip=False),
    # "move left", "turn right" and other signals to the drone.
    uav_human.NAME: Entry(_numbered(uav_human.read, 2), may_flip=False),
    ucf101.NAME: Entry(_numbered(ucf101.read, 3), may_flip=True),
}

NAMES: tuple[str, ...] = tuple(sorted(ENTRIES))


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
    entry = _entry(dataset, root)
    known: dict[str, tuple[Split, str]] = {
        f"{part}{end}": (part, end) for part in PARTS for end in entry.ways
    }
    if split not in known:
        raise UnknownNameError(f"split of {dataset}", split, known)
    part, end = known[split]
    way = entry.ways[end]
    if part == "validation" and part not in way.splits(root):
        return validation(way.read(root, "train"))
    return way.read(root, part)


def splits(dataset: str, root: Path) -> tuple[Split, ...]:
    """Give the official splits of a data set: no clip is in two of them.

    Raises:
        UnknownNameError: There is no such data set.
        DatasetError: The folder is missing.
    """
    return _entry(dataset, root).ways[""].splits(root)


def ways(dataset: str, root: Path) -> tuple[tuple[str, ...], ...]:
    """Give the official splits of every way of splitting a data set: (train01, test01), ….

    Raises:
        UnknownNameError: There is no such data set.
        DatasetError: The folder is missing.
    """
    entry = _entry(dataset, root)
    ends = [end for end in entry.ways if end] or [""]
    named = (tuple(f"{part}{end}" for part in entry.ways[end].splits(root)) for end in ends)
    return tuple(splits for splits in named if splits)


def may_flip(dataset: str) -> bool:
    """Say whether a clip keeps its class when left and right are exchanged.

    Raises:
        UnknownNameError: There is no such data set.
    """
    return _known(dataset).may_flip


def _entry(dataset: str, root: Path) -> Entry:
    entry = _known(dataset)
    if not root.is_dir():
        raise DatasetError(f"the folder {root} of data set {dataset} doesn't exist: check --root")
    return entry


def _known(dataset: str) -> Entry:
    if dataset not in ENTRIES:
        raise UnknownNameError("data set", dataset, NAMES)
    return ENTRIES[dataset]

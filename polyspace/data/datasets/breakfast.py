"""Breakfast: ten ways of making breakfast, each filmed by several cameras at once.

::

    root/P03…P54/<camera>/Pxx_<activity>[_chN].avi            cam01, webcam02, stereo, …

The class is what stands between the person and the ending, spelled as the data set spells it, such
as salat or scrambledegg. All cameras are read. A group is the person, who is in one split alone;
there are four official ways of testing on a quarter of the persons, of which the fourth (P42 to
P54) is meant without a number. The label files beside the videos say what is done when, and are not
read.

Source: https://serre-lab.clps.brown.edu/resource/breakfast-actions-dataset/.
"""

import re
from pathlib import Path, PurePosixPath

from polyspace.data.clips import Clip, Manifest, Split
from polyspace.data.datasets import labels, listing

NAME = "breakfast"
CALLED = "Pxx/<camera>/Pxx_<activity>.avi with P03 to P54"
TESTED = {1: range(3, 16), 2: range(16, 29), 3: range(29, 42), 4: range(42, 55)}
"""The persons who are tested on, in each of the four ways."""
_VIDEO = re.compile(r"P(\d\d)/[^/]+/P\1_([^_/]+)(?:_ch\d+)?")


def read(root: Path, split: Split, *, number: int = 4) -> Manifest:
    """List the clips of a split.

    Args:
        root: Folder of the persons' folders.
        split: train or test.
        number: Which quarter of the persons is tested on.

    Raises:
        DatasetError: There are no videos, or one isn't called as it should be.
        LabelError: An activity is none of the ten.
    """
    class_names = labels.table(NAME)
    found = {key: path for key, path in listing.videos(root, root).items() if "/" in key}
    wrong = (path for key, path in found.items() if not _is_called_so(key))
    listing.refuse_unreadable_names(wrong, NAME, CALLED)
    named = [(path, _parts(key)[1]) for key, path in found.items()]
    places = labels.numbers(NAME, named, class_names)
    clips = tuple(
        Clip(key, path, label, PurePosixPath(key).parts[0])
        for (key, path), label in zip(found.items(), places, strict=True)
        if (_parts(key)[0] in TESTED[number]) == (split == "test")
    )
    return Manifest(NAME, split, root, class_names, clips)


def _is_called_so(key: str) -> bool:
    return _VIDEO.fullmatch(key) is not None and 3 <= _parts(key)[0] <= 54


def _parts(key: str) -> tuple[int, str]:
    """Give the person and the activity."""
    match = _VIDEO.fullmatch(key)
    return (int(match[1]), match[2]) if match else (0, "")

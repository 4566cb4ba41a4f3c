"""UCF101 and whatever else has its layout.

::

    root/ucfTrainTestlist/{classInd,trainlist01,testlist01,…}.txt
    root/<Class>/v_<Class>_gNN_cNN.avi          or root/UCF-101/<Class>/…; .mp4 is fine, too

Labels count from 1 in the lists and from 0 here; their order is that of classInd.txt. A group is a
class and its gNN: the clips that were cut from one source video.

Source: https://www.crcv.ucf.edu/data/UCF101.php, "The Train/Test Splits for Action Recognition".
"""

import re
from pathlib import Path

from polyspace.data.clips import Clip, Manifest, Split
from polyspace.data.datasets import annotations, listing
from polyspace.errors import DatasetError

NAME = "ucf101"
LISTS = "ucfTrainTestlist"


def read(root: Path, split: Split, *, number: int = 1) -> Manifest:
    """List the clips of one of the official splits.

    Args:
        root: Folder of the class folders and the lists.
        split: train or test.
        number: Which of the three pairs of lists.

    Raises:
        DatasetError: A list is missing or contradicts itself, or no listed file is there.
    """
    lists, videos = root / LISTS, root / "UCF-101"
    class_names = _class_names(lists)
    file = lists / f"{split}list{number:02d}.txt"
    home = videos if videos.is_dir() else root
    found = listing.videos(root, home)
    prefix = "" if home == root else f"{home.name}/"
    clips = tuple(_clip(line, class_names, found, prefix) for line in _lines(file))
    listing.refuse_when_none_is_there(clips, found, home, "<class>/<name>.avi or .mp4")
    return Manifest(NAME, split, root, class_names, clips)


def _class_names(lists: Path) -> tuple[str, ...]:
    """Read the classes, which must be numbered 1, 2, 3, …."""
    lines = _lines(lists / "classInd.txt")
    numbers = [line.split()[0] for line in lines]
    if numbers != [str(n) for n in range(1, len(lines) + 1)]:
        raise DatasetError(
            f"{lists / 'classInd.txt'}: expected classes numbered 1, 2, 3, … in order"
        )
    return tuple(line.split()[-1] for line in lines)


def _lines(file: Path) -> list[str]:
    if not file.is_file():
        raise DatasetError(
            f"{file} is missing: the layout of {NAME} has {LISTS}/ with classInd.txt and the "
            f"train and test lists beside the class folders"
        )
    return annotations.lines(file)


def _clip(entry: str, class_names: tuple[str, ...], found: dict[str, str], prefix: str) -> Clip:
    """Turn a line of a list into a clip.

    Only the training lists say the label's number, and the path says it once more.
    """
    name, *number = entry.split()
    folder, _, file = name.partition("/")
    source = re.search(r"_(g\d+)_c\d+\.\w+$", file)
    if folder not in class_names or not source:
        raise DatasetError(f"{entry!r}: expected <Class>/v_<Class>_gNN_cNN.avi of a listed class")
    label = class_names.index(folder)
    if number and number[0] != str(label + 1):
        raise DatasetError(
            f"{entry!r}: the label says class {number[0]}, but {folder} is class {label + 1}"
        )
    path = listing.place(found, name.rpartition(".")[0], prefix + name, LISTS)
    return Clip(Path(file).stem, path, label, f"{folder}_{source[1]}")

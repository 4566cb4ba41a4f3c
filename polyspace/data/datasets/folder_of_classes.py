"""`folder-of-classes`: a folder for each class, the videos in it.

::

    root/{train,test}/<class>/<video>      if there are folders train and test
    root/<class>/<video>                   else; a quarter of each class is the test split

Classes are the folders' names in alphabetical order, taken from both splits together. Every file is
a group of its own, because nothing tells which files were cut from one video.
"""

from pathlib import Path

from polyspace.data.clips import Clip, Manifest, Split
from polyspace.data.datasets.listing import SUFFIXES
from polyspace.data.splits import part
from polyspace.errors import DatasetError

NAME = "folder-of-classes"


def read(root: Path, split: Split) -> Manifest:
    """List the clips of a split.

    Raises:
        DatasetError: There are no class folders, or one of them holds no video.
    """
    if (root / "train").is_dir() and (root / "test").is_dir():
        folders = {name: _class_folders(root / name) for name in ("train", "test")}
        class_names = tuple(sorted({f.name for found in folders.values() for f in found}))
        clips = [clip for f in folders[split] for clip in _clips(root, f, class_names)]
    else:
        found = _class_folders(root)
        class_names = tuple(f.name for f in found)
        everything = [clip for f in found for clip in _clips(root, f, class_names)]
        clips = part(everything, split)
    return Manifest(NAME, split, root, class_names, tuple(clips))


def _class_folders(folder: Path) -> list[Path]:
    found = sorted(f for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))
    if not found:
        raise DatasetError(f"{folder} holds no folders: expected one for each class")
    return found


def _clips(root: Path, folder: Path, class_names: tuple[str, ...]) -> list[Clip]:
    files = sorted(f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES)
    if not files:
        raise DatasetError(f"{folder} holds no video: expected files in {', '.join(SUFFIXES)}")
    label = class_names.index(folder.name)
    paths = [file.relative_to(root).as_posix() for file in files]
    return [Clip(path, path, label, path) for path in paths]

"""Which video files there are under a root, and which paths a list may name.

A listed file that isn't there stays in the list, with the path where it was looked for: the decoder
quarantines it as missing, and every figure says how many clips it is about.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from polyspace.data.clips import Clip
from polyspace.data.datasets.labels import quoted
from polyspace.errors import DatasetError

SUFFIXES = (".avi", ".mkv", ".mov", ".mp4", ".m4v", ".ts", ".webm")


def videos(root: Path, home: Path) -> dict[str, str]:
    """Find every video below a folder, looking once into each folder.

    Args:
        root: Folder of the data set.
        home: Where to look, the root itself or a folder in it. Folders whose name begins with a
            dot, and links to folders, are passed by.

    Returns:
        By path relative to `home` without the ending, the path relative to `root`.

    Raises:
        DatasetError: Two files differ in their ending alone: nobody can tell which one is meant.
    """
    found: dict[str, str] = {}
    for folder, folders, names in os.walk(home):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below_root, below_home = (_prefix(Path(folder).relative_to(top)) for top in (root, home))
        for name in sorted(names):
            if name.startswith(".") or not name.lower().endswith(SUFFIXES):
                continue
            key, path = below_home + name.rpartition(".")[0], below_root + name
            if key in found:
                raise DatasetError(f"{found[key]} and {path} under {root} are one clip: keep one")
            found[key] = path
    return found


def place(found: Mapping[str, str], key: str, otherwise: str, where: str) -> str:
    """Give the path of a listed clip: of the file that was found, or where it should be.

    Args:
        found: What `videos` gave.
        key: What the list calls the file, without its ending.
        otherwise: Its path if it isn't there.
        where: The list, for the message.

    Raises:
        DatasetError: That path isn't one that a list may name.
    """
    return found.get(key) or relative(otherwise, where)


def by_name(found: Mapping[str, str]) -> dict[str, str]:
    """Give the paths that `videos` found by the file's name alone, whatever folder it is in.

    Raises:
        DatasetError: Two files in different folders have one name.
    """
    named: dict[str, str] = {}
    for key, path in found.items():
        name = PurePosixPath(key).name
        if name in named:
            raise DatasetError(f"{named[name]} and {path} have the same name: keep one of them")
        named[name] = path
    return named


def refuse_when_none_is_there(
    clips: Iterable[Clip], found: Mapping[str, str], home: Path, expected: str
) -> None:
    """Refuse a folder that holds not one of the listed videos: it is the wrong one.

    Args:
        clips: The listed clips.
        found: What `videos` gave.
        home: Where it looked.
        expected: What a file is called, for the message.

    Raises:
        DatasetError: None of them is there.
    """
    listed, there = list(clips), set(found.values())
    if listed and not any(clip.path in there for clip in listed):
        raise DatasetError(
            f"none of the {len(listed)} listed videos is under {home}, first "
            f"{listed[0].path!r}: expected {expected}"
        )


def refuse_unreadable_names(names: Iterable[str], dataset: str, expected: str) -> None:
    """Refuse files whose names don't say what the data set's names say.

    Raises:
        DatasetError: There is one.
    """
    wrong = list(names)
    if wrong:
        raise DatasetError(
            f"{len(wrong)} files of {dataset} are not called as its files are, first "
            f"{quoted(wrong)}: expected {expected}; for files of your own there is --dataset "
            "manifest, whose columns say it"
        )


def relative(path: str, where: str) -> str:
    """Check a path out of a list, which may come from anybody.

    Args:
        path: What the list says.
        where: The list and the line, for the message.

    Returns:
        The same path.

    Raises:
        DatasetError: It isn't relative, leads out of the root, or is an address.
    """
    parts = path.split("/")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", path):
        wrong = "is an address or names a drive"
    elif path.startswith("/"):
        wrong = "is absolute"
    elif "\\" in path or "\0" in path:
        wrong = "holds a backslash or a NUL"
    elif ".." in parts:
        wrong = "leads out of its folder"
    elif not path or any(part in ("", ".") for part in parts):
        wrong = "has an empty part"
    else:
        return path
    raise DatasetError(
        f"{where}: the path {path!r} {wrong}: expected one relative to the data set's root, with "
        "forward slashes"
    )


def _prefix(folder: Path) -> str:
    """Give what a file's path begins with, for the files in a folder."""
    return "" if folder == Path() else f"{folder.as_posix()}/"

"""Which video files are meant by some paths: files, and folders with all that is in them."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from polyspace.data.datasets.listing import SUFFIXES


@dataclass(frozen=True)
class Video:
    """One file, and the folder that it may not lead out of."""

    root: Path
    path: str
    """Relative to the root, with forward slashes."""

    @property
    def file(self) -> Path:
        """Say where it is."""
        return self.root / self.path


def gather(paths: Iterable[str | os.PathLike[str]]) -> tuple[Video, ...]:
    """List files in the order in which they are named; nothing is opened.

    A file that is named is taken whatever its ending, and whether it is there: what comes of it
    says so. Of a folder, files with a video's ending are taken, in the order of their paths; those
    in folders below it, too, but for hidden ones and links to folders.
    """
    return tuple(video for path in paths for video in _of(Path(path)))


def in_folder(folder: Path) -> tuple[Video, ...]:
    """List the videos of a folder, and of all folders below it."""
    return tuple(Video(folder, path) for path in sorted(_below(folder)))


def _of(path: Path) -> Iterable[Video]:
    # A file's own folder is its root: a link that leads elsewhere is refused by the decoder.
    return in_folder(path) if path.is_dir() else (Video(path.parent, path.name),)


def _below(home: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(home):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                yield (Path(folder) / name).relative_to(home).as_posix()

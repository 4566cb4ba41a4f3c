"""Files that hold the same bytes, found by reading only those whose size another one has."""

from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from polyspace.files import sha256_file
from polyspace.progress import Progress


@dataclass(frozen=True)
class Files:
    """What was found of the files that a data set lists, by their paths relative to its root."""

    missing: tuple[str, ...]
    """Those that aren't there, are no files, or can't be read."""
    empty: tuple[str, ...]
    twins: tuple[tuple[str, ...], ...]
    """Sets of files with the same bytes."""
    hashed: int
    """How many had to be read for that."""


def look_over(root: Path, paths: Iterable[str]) -> Generator[Progress, None, Files]:
    """Look at every file, and read those that may be the same as another one.

    Args:
        root: Folder of the data set.
        paths: The files, relative to it.
    """
    sizes = {path: _size_bytes(root / path) for path in sorted(set(paths))}
    alike: dict[int, list[str]] = defaultdict(list)
    for path, size_bytes in sizes.items():
        if size_bytes:
            alike[size_bytes].append(path)
    suspects = [path for same in alike.values() if len(same) > 1 for path in same]
    digests = yield from _digests(root, suspects)
    missing = [p for p, size in sizes.items() if size is None or digests.get(p, "read") is None]
    empty = [path for path, size_bytes in sizes.items() if size_bytes == 0]
    return Files(tuple(missing), tuple(empty), tuple(_twins(digests)), len(suspects))


def _size_bytes(path: Path) -> int | None:
    """Give a file's size, or None if there is no such file."""
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


def _digests(root: Path, paths: Sequence[str]) -> Generator[Progress, None, dict[str, str | None]]:
    """Give each file's digest, or None if it can't be read."""
    digests: dict[str, str | None] = {}
    for path in paths:
        try:
            digests[path] = sha256_file(root / path)
        except OSError:
            digests[path] = None
        yield Progress(len(digests), len(paths), "files of equal size read")
    return digests


def _twins(digests: Mapping[str, str | None]) -> list[tuple[str, ...]]:
    same: dict[str, list[str]] = defaultdict(list)
    for path, digest in digests.items():
        if digest is not None:
            same[digest].append(path)
    return [tuple(paths) for paths in same.values() if len(paths) > 1]

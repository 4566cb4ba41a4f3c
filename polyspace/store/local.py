"""A store in a folder of this machine."""

import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from polyspace.errors import LeaseError, StoreError
from polyspace.files import sync_folder, write_atomically

PARTIAL = ".partial"
"""How files end that are not whole yet."""


class LocalFolder:
    """A folder; what each method promises stands in `storage.Storage`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = path

    def list(self, prefix: str = "") -> dict[str, int]:
        """Give the sizes of all files under a prefix, in bytes, by key."""
        return dict(_sizes(self.path / prefix, prefix))

    def names(self) -> Sequence[str]:
        """Name the files and folders right inside."""
        return sorted(os.listdir(self.path)) if self.path.is_dir() else []

    def read(self, key: str, *, start: int = 0) -> bytes:
        """Read a file, from some byte on."""
        with (self.path / key).open("rb") as file:
            file.seek(start)
            return file.read()

    def read_many(self, starts: Mapping[str, int]) -> dict[str, bytes]:
        """Read several files, each from some byte on."""
        return {key: self.read(key, start=start) for key, start in starts.items()}

    def publish(
        self,
        key: str,
        parts: Sequence[bytes | memoryview],
        admit: Callable[[], None] = lambda: None,
    ) -> None:
        """Write a file, whole or not at all; it is durable when this returns."""
        path = self.path / key
        with _explained(path):
            _make_folder(path.parent)
            write_atomically(path, lambda file: file.writelines(parts), admit)

    def replace(
        self, key: str, parts: Sequence[bytes | memoryview], admit: Callable[[], None]
    ) -> None:
        """Write a file anew that is there; whoever deletes it sweeps first."""

        def still_there() -> None:
            admit()
            if not (self.path / key).exists():
                raise LeaseError(f"{self.path / key} was deleted by another writer: run again")

        self.publish(key, parts, still_there)

    def create(self, key: str, content: bytes) -> bool:
        """Write a file unless there is one; tell whether this call wrote it."""
        path = self.path / key
        with _explained(path):
            _make_folder(path.parent)
            try:
                file = path.open("xb")
            except FileExistsError:
                return False
            try:
                with file:
                    file.write(content)
            except OSError:
                # An empty file would stand in everybody's way.
                path.unlink()
                raise
            return True

    def delete(self, key: str) -> None:
        """Delete a file, if it is there."""
        with _explained(self.path / key):
            (self.path / key).unlink(missing_ok=True)

    def journal(self, key: str) -> "LocalJournal":
        """Give a new journal, made when its first line is written."""
        return LocalJournal(self.path / key, key)

    def sweep(self, keys: Sequence[str]) -> None:
        """Remove what others who write these files have only half-written."""
        for key in keys:
            path = self.path / key
            for partial in path.parent.glob(f"{path.name}.*{PARTIAL}"):
                self.delete(partial.relative_to(self.path).as_posix())


class LocalJournal:
    """A file that grows line by line, each of them synced."""

    def __init__(self, path: Path, key: str) -> None:
        self._path, self.key = path, key
        self._file: BinaryIO | None = None

    def append(self, line: bytes) -> None:
        """Write one line; it is durable when this returns."""
        with _explained(self._path):
            if self._file is None:
                _make_folder(self._path.parent)
                self._file = self._path.open("xb", buffering=0)
                sync_folder(self._path.parent)
            end = self._file.tell()
            try:
                _write_whole(self._file, line)
                os.fsync(self._file.fileno())
            except OSError:
                # What has no line break was never said; the next line must not continue it.
                self._file.truncate(end)
                self._file.seek(end)
                raise

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()


def _write_whole(file: BinaryIO, line: bytes) -> None:
    """Write until all is written: a disk that fills up takes a part first and then refuses."""
    rest = memoryview(line)
    while rest:
        rest = rest[file.write(rest) :]


def _sizes(folder: Path, prefix: str) -> Iterator[tuple[str, int]]:
    """Walk a folder; files that vanish meanwhile are not there."""
    if not folder.is_dir():
        return
    start = f"{prefix.rstrip('/')}/" if prefix else ""
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _sizes(Path(entry.path), start + entry.name)
        else:
            try:
                yield start + entry.name, entry.stat().st_size
            except FileNotFoundError:
                continue


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, durably."""
    missing = [place for place in (folder, *folder.parents) if not place.is_dir()]
    folder.mkdir(parents=True, exist_ok=True)
    for place in missing:
        sync_folder(place.parent)


@contextmanager
def _explained(path: Path) -> Generator[None]:
    """Say in one line what the system refused: a full, read-only or forbidden disk.

    Raises:
        StoreError: It refused; what was finished before is kept.
    """
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(
            f"{path} can't be written ({error.strerror or error}): make room or give another "
            f"folder, and run the same command again; what was finished is kept"
        ) from error

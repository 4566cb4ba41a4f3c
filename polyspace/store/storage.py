"""Where a store's files are: a folder of this machine, or a prefix in an object store.

Everything above asks here, so that both are written and read by the same code. A key is a file's
path inside the store, with ``/`` on every system.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from polyspace.errors import ConfigError
from polyspace.store.local import LocalFolder
from polyspace.store.objects import SCHEME, ObjectPrefix


@runtime_checkable
class Journal(Protocol):
    """Lines that are appended one by one."""

    @property
    def key(self) -> str:
        """The file that the next line goes to."""
        ...

    def append(self, line: bytes) -> None:
        """Write one line; it is durable when this returns."""
        ...

    def close(self) -> None:
        """Let go of what is held open."""
        ...


@runtime_checkable
class Storage(Protocol):
    """What a store asks of the place that it lies in."""

    @property
    def path(self) -> Path:
        """The address; `at` leads back from it."""
        ...

    @property
    def folder(self) -> Path | None:
        """The folder that files can be mapped from; None if they can't be."""
        ...

    def list(self, prefix: str = "") -> Mapping[str, int]:
        """Give the sizes of all files under a prefix, in bytes, by key."""
        ...

    def names(self) -> Sequence[str]:
        """Name the files and folders right inside, in order."""
        ...

    def read(self, key: str, *, start: int = 0) -> bytes:
        """Read a file, from some byte on.

        Raises:
            FileNotFoundError: There is none.
        """
        ...

    def read_many(self, starts: Mapping[str, int]) -> Mapping[str, bytes]:
        """Read several files, each from some byte on, in as little time as the place allows.

        Raises:
            FileNotFoundError: One of them is missing.
        """
        ...

    def publish(
        self, key: str, parts: Sequence[bytes | memoryview], admit: Callable[[], None] = ...
    ) -> None:
        """Write a file, whole or not at all; it is durable when this returns.

        Args:
            key: Which.
            parts: Its bytes, one part after the other.
            admit: Asked at the last moment; raises if the file may no longer appear.
        """
        ...

    def replace(
        self, key: str, parts: Sequence[bytes | memoryview], admit: Callable[[], None]
    ) -> None:
        """Write a file anew that is there, as `publish` does; one that was deleted stays so.

        Raises:
            LeaseError: Somebody else has written or deleted it since `admit` was asked.
        """
        ...

    def create(self, key: str, content: bytes) -> bool:
        """Write a file unless there is one; tell whether this call wrote it."""
        ...

    def delete(self, key: str) -> None:
        """Delete a file, if it is there."""
        ...

    def journal(self, key: str) -> Journal:
        """Give a new journal, made when its first line is written."""
        ...

    def sweep(self, keys: Sequence[str]) -> None:
        """Remove what others who write these files have only half-written."""
        ...


def at(path: Path) -> Storage:
    """Give the storage at an address: a folder, or ``s3://bucket/prefix``, which a Path shortens.

    Raises:
        ConfigError: An object store that can't be reached so, or of another kind.
    """
    start = "".join(path.parts[:1])
    if start.endswith(":") and start != SCHEME:
        raise ConfigError(f"{path} begins with {start}//: stores lie in folders or in s3://")
    return ObjectPrefix(path) if start == SCHEME else LocalFolder(path)

"""Which files were found to be as they were written, so that not every run reads them twice.

Remembered in the user's cache folder, never in the store: a file counts as checked as long as its
inode, size and both time stamps are the same. `polyspace store verify` reads every byte anyway.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from polyspace.files import write_atomically

Stamp = tuple[int, int, int, int]


class Remembered:
    """What is known of the files of one store in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()
        self._note = _cache() / f"{name}.json"
        self._known = _read(self._note)

    def unknown(self, keys: Iterable[str]) -> list[str]:
        """Give the files that were never checked, or have changed since."""
        return [key for key in keys if self._known.get(key) != self._stamp(key)]

    def add(self, keys: Iterable[str]) -> None:
        """Remember files that were just checked; where there is no cache folder, for this run."""
        self._known |= {key: self._stamp(key) for key in keys}
        text = json.dumps(self._known).encode()
        with suppress(OSError):
            write_atomically(self._note, lambda file: file.write(text))

    def _stamp(self, key: str) -> Stamp:
        found = (self._folder / key).stat()
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _read(note: Path) -> dict[str, Stamp]:
    """Read what was remembered; a note that can't be read remembers nothing."""
    try:
        return {key: tuple(stamp) for key, stamp in json.loads(note.read_bytes()).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "polyspace" / "verified"

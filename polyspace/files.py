"""Files that are there whole or not at all, and the digests that prove which ones they are."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any
from uuid import uuid4


def write_atomically(
    path: Path, write: Callable[[IO[bytes]], Any], admit: Callable[[], None] = lambda: None
) -> None:
    """Write a file under a temporary name, make it durable, and only then give it its name.

    A process that is killed leaves the old file, or none; never half of one.

    Args:
        path: The file.
        write: Writes its bytes.
        admit: Asked when the bytes are durable; raises if the file may no longer appear.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{uuid4().hex[:8]}.partial")
    try:
        with partial.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        admit()
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_file(path: Path) -> str:
    """Give the sha256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

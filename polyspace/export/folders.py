"""Folders that appear whole or not at all, and that never replace what they didn't make."""

import ctypes
import errno
import fcntl
import glob
import os
import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from polyspace.errors import ExportError, PolySpaceError
from polyspace.files import sync_folder

AT_FDCWD, RENAME_EXCHANGE = -100, 2
"""Source: Linux, renameat2(2)."""


@contextmanager
def publishing(out: Path, marker: str) -> Generator[Path]:
    """Give a folder to write into; when the block ends well, it takes the place of `out`.

    Killed at any moment, `out` is what it was, or what it was to become; the rest lies beside it as
    ``<name>.<8 digits>.partial``, and the next to publish there removes it. Where the system can't
    exchange two folders (it isn't Linux, or a network file system), a kill between two renames
    leaves no `out`, and what it was in ``<name>.<8 digits>.old``.

    Args:
        out: Where the result is to be. What is there is replaced if it has the marker, too.
        marker: A file that every such folder has.

    Raises:
        ExportError: `out` is something else than such a folder, or can't be written; it is what it
            was.
    """
    out = out.absolute()
    _check(out, marker)
    partial = out.with_name(f"{out.name}.{uuid4().hex[:8]}.partial")
    try:
        _remove_left(out)
        partial.mkdir(parents=True)
        with _locked(partial):
            yield partial
            _sync(partial)
            _check(out, marker)
            _swap(partial, out)
    except PolySpaceError:
        raise
    except OSError as error:
        raise ExportError(
            f"{out} can't be written ({error.strerror or error}), so nothing was published: make "
            f"room, or name another folder"
        ) from error
    finally:
        # What is there now is what was replaced, or what has failed.
        shutil.rmtree(partial, ignore_errors=True)


def _remove_left(out: Path) -> None:
    """Remove what those left who were killed; who still writes has a lock."""
    for partial in out.parent.glob(f"{glob.escape(out.name)}.????????.partial"):
        with suppress(BlockingIOError, FileNotFoundError), _locked(partial):
            shutil.rmtree(partial)


@contextmanager
def _locked(folder: Path) -> Generator[None]:
    """Hold a folder's lock, which ends with the process at the latest.

    Raises:
        BlockingIOError: Another process has it.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _check(out: Path, marker: str) -> None:
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise ExportError(f"{out} is there and is no folder: name another folder")
    if out.is_dir() and any(out.iterdir()) and not (out / marker).is_file():
        raise ExportError(
            f"{out} is there and has no {marker}, so it was made by something else: name "
            f"another folder, or remove it"
        )


def _swap(partial: Path, out: Path) -> None:
    """Put one folder in the place of another, in one step where the system has one for it."""
    if not out.exists():
        partial.rename(out)
    elif not _exchanged(partial, out):
        aside = partial.with_suffix(".old")
        out.rename(aside)
        partial.rename(out)
        shutil.rmtree(aside)
    sync_folder(out.parent)


def _exchanged(first: Path, second: Path) -> bool:
    """Exchange two folders at once; False where the system can't."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        return False
    names = os.fsencode(first), os.fsencode(second)
    if libc.renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS):
        return False
    raise OSError(number, os.strerror(number), str(second))


def _sync(folder: Path) -> None:
    """Make every file of a folder durable before the folder gets its name."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    sync_folder(folder)

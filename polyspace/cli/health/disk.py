"""The place where stores will be: its room, and whether what a store relies on works there."""

import mmap
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from uuid import uuid4

from polyspace.cli.health.check import Check, error, ok, warning
from polyspace.data.estimate import free_bytes, in_words, nearest_folder
from polyspace.errors import PolySpaceError
from polyspace.store import storage

PROBE_BYTES = 2**24
LITTLE_BYTES = 5 * 10**9


def check(out: Path) -> Iterator[Check]:
    """Check room, and write a file that is gone afterwards."""
    free = free_bytes(out)
    if free is None:
        yield ok("room", f"{out} lies in an object store")
        yield _storage(out)
        return
    folder = nearest_folder(out)
    if free < LITTLE_BYTES:
        yield warning(
            "room", f"{in_words(free)} free at {folder}", "polyspace estimate says what it takes"
        )
    else:
        yield ok("room", f"{in_words(free)} free at {folder}")
    yield _storage(folder)


def _storage(place: Path) -> Check:
    """Write as a store writes: fsync, rename, fsync of the folder; read it back, and map it."""
    key, content = f".polyspace-doctor-{uuid4().hex[:8]}", bytes(range(256)) * (PROBE_BYTES // 256)
    try:
        at = storage.at(place)
        started = perf_counter()
        at.publish(key, [content])
        speed = round(PROBE_BYTES / (perf_counter() - started))
        try:
            same = at.read(key) == content and _mapped(at.folder, key, content)
        finally:
            at.delete(key)
    except (PolySpaceError, OSError) as problem:
        return error("writing", f"{place}: {problem}", "give another --out")
    if not same:
        return error("writing", f"{place} doesn't give back what was written", "give another --out")
    how = "fsync, rename and mmap work" if at.folder else "it gives back what was written"
    return ok("writing", f"{how} at {place}, {in_words(speed)} a second")


def _mapped(folder: Path | None, key: str, content: bytes) -> bool:
    """Tell whether a mapped file shows its content; where nothing can be mapped, nothing is."""
    if folder is None:
        return True
    with (
        (folder / key).open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
    ):
        return mapped[:] == content

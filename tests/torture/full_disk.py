"""Disks that are full: one clear line, nothing acknowledged is lost, and it goes on later."""

import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from polyspace.store import gc
from tests.torture.nursery import Nursery, nursery
from tests.torture.outcome import Outcome, Scale
from tests.torture.specimen import Specimen, differences, lost
from tests.torture.worker import Job

PROMISE = "disk full: one clear line, nothing acknowledged is lost, resumes to an equal store"
PAGE = 4096
REFUSALS = ("No space left on device", "File too large")


@dataclass
class _Seen:
    """What became of all writers so far."""

    refused: Counter[str] = field(default_factory=Counter[str])
    """By how the disk was made to be full."""
    acknowledged: int = 0
    failures: list[str] = field(default_factory=list[str])


def run(scale: Scale, folder: Path) -> Outcome:
    """Let writers run into a limit on the size of files, and into a small disk."""
    started, seen = time.monotonic(), _Seen()
    with nursery(folder / "said") as nurse:
        whole = Specimen().write(folder / "whole.zarr")
        sizes = [file.stat().st_size for file in whole.rglob("*") if file.is_file()]
        for place in _places(max(sizes), scale.offsets):
            path = folder / f"limit{place}.zarr"
            _torture(nurse, Job(str(path), file_bytes=place), whole, "limit on files", seen)
        why_not = _on_small_disks(nurse, folder, whole, scale.offsets, seen)
    refused = ", ".join(f"{count} by {kind}" for kind, count in seen.refused.items())
    details = (
        f"{refused}{why_not and f' (no small disk: {why_not})'}; {seen.acknowledged} items "
        f"acknowledged before; all went on once there was room, and were compared"
    )
    total, seconds = seen.refused.total(), time.monotonic() - started
    return Outcome(PROMISE, total, tuple(seen.failures), seconds, details)


def _places(most: int, count: int) -> list[int]:
    """Spread offsets from nothing to just too little."""
    return [most * number // count for number in range(count)]


def _on_small_disks(nurse: Nursery, folder: Path, whole: Path, count: int, seen: _Seen) -> str:
    """Fill up a disk of its own to leave less room than a store needs; or say why it can't be."""
    disk = folder / "disk"
    disk.mkdir()
    pages = sum(-(-file.stat().st_size // PAGE) for file in whole.rglob("*") if file.is_file())
    with _mounted(disk, (pages + 64) * PAGE) as why_not:
        if why_not:
            return why_not
        for place in _places(pages, count):
            path = disk / f"{place}.zarr"
            ballast = disk / "ballast"
            free = os.statvfs(disk).f_bavail
            ballast.write_bytes(bytes((free - place) * PAGE))
            _torture(nurse, Job(str(path)), whole, "full disk", seen, make_room=ballast.unlink)
            subprocess.run(["rm", "-r", path], check=True)
    return ""


@contextmanager
def _mounted(folder: Path, size: int) -> Generator[str]:
    """Mount a small file system in memory; give the reason if that isn't possible."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        made = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        yield str(error)
        return
    if made.returncode:
        yield made.stderr.strip()
        return
    try:
        yield ""
    finally:
        subprocess.run(["umount", folder], check=True)


def _torture(
    nurse: Nursery,
    job: Job,
    whole: Path,
    kind: str,
    seen: _Seen,
    *,
    make_room: Callable[[], object] = lambda: None,
) -> None:
    """Let one writer run into the end of its disk, and another one go on."""
    path = Path(job.path)
    child = nurse.start(job)
    status, (*said, last) = child.wait(), ["", *child.lines()]
    seen.refused[kind] += 1
    if status != 2 or not last.startswith("error: StoreError: ") or not _is_clear(last):
        seen.failures.append(f"{path.name}: ended with {status}: {[*said, last][-30:]}")
    done = set(child.items("acknowledged"))
    seen.acknowledged += len(done)
    make_room()
    seen.failures += lost(path, done)
    second = nurse.start(Job(job.path))
    if second.wait():
        seen.failures.append(f"{path.name}: going on ended with {second.lines()[-1:]}")
    if again := done & set(second.items("claimed")):
        seen.failures.append(f"{path.name}: items {again} were done again")
    gc.collect(path)
    seen.failures += differences(path, whole)
    seen.failures += [f"{name} is left" for name in path.rglob("*.partial")]


def _is_clear(line: str) -> bool:
    return any(why in line for why in REFUSALS) and "run the same command again" in line

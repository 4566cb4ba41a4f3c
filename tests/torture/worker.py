"""A writer of a small store, in a process of its own, that says what it does."""

import json
import os
import random
import resource
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from polyspace.errors import LeaseError, PolySpaceError
from polyspace.store import storage
from polyspace.store.lease import Leases
from polyspace.store.writer import StoreWriter, WorkItem
from tests.torture import learner
from tests.torture.specimen import Specimen, blocks


@dataclass(frozen=True)
class Job:
    """What a writer shall do."""

    path: str
    """The store."""
    clips: int = 46
    backbones: Sequence[str] = ("student", "teacher")
    term_seconds: float = 5.0
    grabs: int | None = None
    """Where there is a number, it takes items in a random order of this seed, whether somebody
    else has them or not, instead of asking for free ones."""
    taint: int = 0
    """Makes its features differ from what belongs there."""
    pause_seconds: float = 0.0
    """Between claiming an item and writing it."""
    file_bytes: int | None = None
    """Largest file that the system lets it write."""
    contest: int = 0
    """Instead of writing: how many leases it tries to take, one every hundredth of a second."""
    trains: int = 0
    """Instead of writing: how many steps it trains."""
    saves: bool = False
    """Instead of writing: whether it saves one state of a run after the other."""
    gate: str = ""
    """A file that it waits for when it is ready to begin."""


def work(job: Job) -> int:
    """Do a job; give the exit status: 2 after an error that a user is meant to read."""
    if job.file_bytes is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        _limit_files(job.file_bytes)
    try:
        if job.trains:
            learner.say(learner.learn(Path(job.path), job.trains))
        elif job.saves:
            learner.say(learner.save(Path(job.path)))
        elif job.contest:
            _contend(job)
        else:
            _extract(job)
    except PolySpaceError as error:
        _limit_files(resource.RLIM_INFINITY)
        _say(f"error: {type(error).__name__}: {error}")
        return 2
    return 0


def _limit_files(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _extract(job: Job) -> None:
    specimen = Specimen(job.clips, backbones=job.backbones, term_seconds=job.term_seconds)
    with specimen.open(Path(job.path)) as writer:
        _await(job.gate)
        while writer.awaits_work():
            if job.grabs is None:
                _claim(writer, job)
            else:
                _grab(writer, job)


def _claim(writer: StoreWriter, job: Job) -> None:
    for item in writer.claims():
        _say(f"claimed {item.index}")
        time.sleep(job.pause_seconds)
        _write(writer, item, job)


def _grab(writer: StoreWriter, job: Job) -> None:
    """Try to write every item that is left, in an order of one's own."""
    items = writer.pending()
    random.Random(job.grabs).shuffle(items)
    for item in items:
        try:
            _write(writer, item, job)
        except LeaseError:
            _say(f"refused {item.index}")


def _write(writer: StoreWriter, item: WorkItem, job: Job) -> None:
    writer.write(item, blocks(item, taint=job.taint), {})
    _say(f"acknowledged {item.index}")


def _contend(job: Job) -> None:
    """Try to take one lease after the other, each at the moment at which others try, too."""
    leases = Leases(storage.at(Path(job.path)), term_seconds=job.term_seconds)
    _await(job.gate)
    begin = time.monotonic()
    for number in range(job.contest):
        time.sleep(max(0.0, begin + 0.01 * number - time.monotonic()))
        lease = leases.acquire(f"contest-{number}")
        _say(f"{'won' if lease else 'refused'} {number}")
    _say("done")
    # What was won is held until the parent has counted, and kills.
    threading.Event().wait()


def _await(gate: str) -> None:
    _say("ready")
    while gate and not Path(gate).exists():
        time.sleep(0.001)


def _say(text: str) -> None:
    """Print a line with one system call, so that a kill leaves all of it or nothing."""
    os.write(1, f"{text}\n".encode())


if __name__ == "__main__":
    sys.exit(work(Job(**json.loads(sys.argv[1]))))

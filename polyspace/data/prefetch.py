"""Decoding ahead in contained processes, while something else works on what is decoded."""

import os
import signal
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from polyspace.data import parcels, workers
from polyspace.data.clips import DecodedClip, Request
from polyspace.data.decode import decode
from polyspace.data.parcels import Parcel
from polyspace.data.workers import Containment, Pool, WorkerDiedError
from polyspace.errors import VideoError

Decoded = DecodedClip | VideoError
"""A clip, or why there is none."""

_numbers = count()


@dataclass(frozen=True)
class _Job:
    """A file that is being decoded, or waits for it."""

    request: Request
    name: str
    """Of the block of shared memory that its frames will come in."""
    future: Future[Parcel | VideoError]


def decode_all(
    root: Path,
    requests: Iterable[Request],
    *,
    processes: int,
    ahead: int,
    containment: Containment | None = None,
) -> Generator[Decoded]:
    """Decode files in their order, each in a process that it can't leave and may not fill.

    A file that kills its process, fills its memory or doesn't come to an end costs its own clip.

    Args:
        root: Folder of the data set.
        requests: What to decode; taken only as far as needed.
        processes: How many work at a time; 0: one, and only when its clip is asked for.
        ahead: How many clips may wait decoded, which bounds memory.
        containment: What each file may take.

    Raises:
        ConfigError: Shared memory is too small for a clip.
    """
    limits = containment or Containment()
    waiting: deque[_Job] = deque()
    try:
        with workers.pool(max(processes, 1), limits) as pool:
            for request in requests:
                waiting.append(_submit(pool, root, request))
                if len(waiting) > (ahead if processes else 0):
                    yield _finish_oldest(waiting, pool, root, limits)
            while waiting:
                yield _finish_oldest(waiting, pool, root, limits)
    finally:
        # Nobody is left who could still make one.
        for job in waiting:
            parcels.discard(job.name)


def attempt(root: Path, request: Request, name: str) -> Parcel | VideoError:
    """Decode one file, within a process of the pool; give the error rather than raise it."""
    try:
        return parcels.pack(decode(root, request), name)
    except VideoError as error:
        # What it was raised from holds on to the decoder and its frames, beside the next file's.
        return VideoError(error.message, error.reason)
    except MemoryError:
        return VideoError(f"{request.path}: takes more memory than a decoder is given", "memory")


def _submit(pool: Pool, root: Path, request: Request) -> _Job:
    name = f"polyspace-{os.getpid()}-{next(_numbers)}"
    parcels.announce(name)
    return _Job(request, name, pool.submit(attempt, root, request, name))


def _finish_oldest(waiting: deque[_Job], pool: Pool, root: Path, limits: Containment) -> Decoded:
    """Wait for a file; one whose process died is tried once more: somebody may have killed it."""
    try:
        decoded = _result(waiting[0], limits)
    except WorkerDiedError:
        request = waiting[0].request
        waiting[0] = _submit(pool, root, request)
        try:
            decoded = _result(waiting[0], limits)
        except WorkerDiedError:
            decoded = VideoError(f"{request.path}: killed the process that decoded it", "crash")
    waiting.popleft()
    return decoded


def _result(job: _Job, limits: Containment) -> Decoded:
    """Take what came of a file.

    Raises:
        WorkerDiedError: Its process died, and not because its time was up.
    """
    try:
        result = job.future.result()
    except (TimeoutError, WorkerDiedError) as error:
        parcels.discard(job.name)
        if isinstance(error, TimeoutError) or error.exitcode == -signal.SIGXCPU:
            words = f"took its decoder longer than {limits.seconds:g} s"
            return VideoError(f"{job.request.path}: {words}", "time-out")
        raise
    if isinstance(result, Parcel):
        return parcels.unpack(result)
    parcels.discard(job.name)
    return result

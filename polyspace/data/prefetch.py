"""Decoding ahead in spawned processes, while something else works on what is decoded."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from polyspace.data import workers
from polyspace.data.clips import DecodedClip, Request
from polyspace.data.decode import decode
from polyspace.errors import VideoError

Decoded = DecodedClip | VideoError
"""A clip, or why there is none."""


def decode_all(
    root: Path, requests: Iterable[Request], *, processes: int, ahead: int
) -> Generator[Decoded]:
    """Decode files in their order.

    A worker process that dies (a decoder that crashes, or that was killed for its memory) costs at
    most the clip that killed it.

    Args:
        root: Folder of the data set.
        requests: What to decode; taken only as far as needed.
        processes: How many work at a time; with 0 each file is decoded when it is asked for.
        ahead: How many clips may wait decoded, which bounds memory.
    """
    if not processes:
        yield from (attempt(root, request) for request in requests)
        return
    todo = iter(requests)
    waiting: deque[_Job] = deque()
    while True:
        with workers.pool(processes) as executor:
            yield from _until_broken(executor, root, todo, waiting, ahead)
        if not waiting:
            return
        # A dead worker takes all that is in flight with it: whose fault it was shows when each
        # is tried again by itself.
        while waiting:
            yield _alone(root, waiting.popleft().request)


def attempt(root: Path, request: Request) -> Decoded:
    """Decode one file; give the error rather than raise it."""
    try:
        return decode(root, request)
    except VideoError as error:
        return error


@dataclass(frozen=True)
class _Job:
    request: Request
    future: Future[Decoded]


def _until_broken(
    executor: ProcessPoolExecutor,
    root: Path,
    todo: Iterator[Request],
    waiting: deque[_Job],
    ahead: int,
) -> Generator[Decoded]:
    """Decode until all is done or a worker dies, which leaves its jobs in `waiting`."""
    try:
        for request in todo:
            waiting.append(_Job(request, _submit(executor, root, request)))
            if len(waiting) > ahead:
                yield _finish_oldest(waiting)
        while waiting:
            yield _finish_oldest(waiting)
    except BrokenProcessPool:
        return


def _finish_oldest(waiting: deque[_Job]) -> Decoded:
    decoded = waiting[0].future.result()
    waiting.popleft()
    return decoded


def _submit(executor: ProcessPoolExecutor, root: Path, request: Request) -> Future[Decoded]:
    """Hand in a job; a pool that is broken already answers as one that breaks over it."""
    try:
        return workers.submit(executor, attempt, root, request)
    except BrokenProcessPool as error:
        broken: Future[Decoded] = Future()
        broken.set_exception(error)
        return broken


def _alone(root: Path, request: Request) -> Decoded:
    """Decode one file in a process of its own."""
    with workers.pool(1) as executor:
        try:
            return workers.submit(executor, attempt, root, request).result()
        except BrokenProcessPool:
            return VideoError(f"{request.path}: killed the process that decoded it", "crash")

"""Processes that decode and render: started quickly, kept small, gone when their parent is.

They come from a server process that has imported the decoder and nothing else (no torch, no
prefect, not the program that is running), so a new one takes milliseconds. Within them a file from
a stranger can do no harm: memory and processor time are limited by the system, and whoever dies or
hangs costs the one file that it was busy with.
"""

import os
import resource
import signal
import sys
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Lock, Thread, local
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

PRELOADED = ("polyspace.data.prefetch",)
"""What the server imports before it forks: the decoder."""


@dataclass(frozen=True)
class Containment:
    """What a process may take for one file."""

    seconds: float = 120.0
    """On the clock, from when it begins with it."""
    cpu_seconds: int = 120
    """Of the processor: for processes that can't be reached any more."""
    memory_bytes: int = 2**30
    """Of address space, beyond what it has when it starts."""


class WorkerDiedError(Exception):
    """A process ended in the middle of its work."""

    def __init__(self, exitcode: int | None) -> None:
        super().__init__(f"the process ended with {exitcode}")
        self.exitcode = exitcode
        """Negative: the signal that ended it."""


class Pool:
    """Processes that work one job after the other; each has a thread here that waits for it."""

    def __init__(self, processes: int, containment: Containment | None) -> None:
        self._containment, self._threads = containment, ThreadPoolExecutor(processes)
        self._of_thread, self._all = local(), set[_Worker]()

    def submit(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Hand in a module's function.

        The future raises what the function raises, `TimeoutError` if it took too long, and
        `WorkerDiedError`.
        """
        return self._threads.submit(self._run, work, args, kwargs)

    def close(self) -> None:
        """Give up what isn't done, and end all processes."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in tuple(self._all):
            worker.kill()
        self._threads.shutdown()
        for worker in tuple(self._all):
            worker.kill()

    def _run(
        self, work: Callable[..., R], args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> R:
        worker: _Worker | None = getattr(self._of_thread, "worker", None)
        if worker is None or not worker.process.is_alive():
            worker = self._of_thread.worker = _Worker(self._containment)
            self._all.add(worker)
        return worker.call(work, args, kwargs)


class _Worker:
    """A process, and this end of the pipe to it."""

    def __init__(self, containment: Containment | None) -> None:
        self._seconds = containment.seconds if containment else None
        self._pipe, theirs = _CONTEXT.Pipe()
        self.process = _CONTEXT.Process(target=_serve, args=(theirs, containment), daemon=True)
        self.process.start()
        theirs.close()

    def call(
        self, work: Callable[..., R], args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> R:
        """Let the process do something, and wait for it."""
        try:
            self._pipe.send((work, args, kwargs))
            if not self._pipe.poll(self._seconds):
                self.kill()
                raise TimeoutError
            value, error = self._pipe.recv()
        except (EOFError, ConnectionError) as error:
            self.kill()
            raise WorkerDiedError(self.process.exitcode) from error
        if error is not None:
            raise error
        return value

    def kill(self) -> None:
        """End the process, if it hasn't ended."""
        self.process.kill()
        self.process.join()


@contextmanager
def pool(processes: int, containment: Containment | None = None) -> Generator[Pool]:
    """Give a pool of processes that end with this one, however it ends.

    Args:
        processes: How many.
        containment: What each may take for one job; None: as much as there is.
    """
    running = Pool(processes, containment)
    try:
        yield running
    finally:
        running.close()


class _Process(ForkServerProcess):
    """A process that doesn't import the program that started it.

    That would mean torch, prefect or a notebook's unguarded main; none is needed here.
    """

    def start(self) -> None:
        """Start, with the main module out of sight."""
        with _without_main():
            super().start()


class _Context(ForkServerContext):
    """Makes such processes."""

    Process = _Process  # pyright: ignore[reportAssignmentType]


_CONTEXT = _Context()
_CONTEXT.set_forkserver_preload(list(PRELOADED))

_main_lock = Lock()


@contextmanager
def _without_main() -> Generator[None]:
    """Hide the main module from processes that start meanwhile."""
    with _main_lock:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


def _serve(pipe: "Connection[Any, Any]", containment: Containment | None) -> None:
    """Work until there is nobody left to work for."""
    # Interrupts are the parent's to answer.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with, args=(parent_process(),), daemon=True).start()
    if containment:
        _confine(containment)
    with suppress(EOFError):
        _work(pipe, containment)


def _work(pipe: "Connection[Any, Any]", containment: Containment | None) -> None:
    while True:
        work, args, kwargs = pipe.recv()
        if containment:
            _allow_more_cpu(containment)
        try:
            answer = work(*args, **kwargs), None
        except Exception as error:
            answer = None, error
        pipe.send(answer)


def _confine(containment: Containment) -> None:
    """Say what the system shall refuse to this process."""
    # A dump of a crashed decoder would be as large as its memory.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    most = _address_space_bytes() + containment.memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    _allow_more_cpu(containment)


def _allow_more_cpu(containment: Containment) -> None:
    """Begin to count processor time anew, for the next job."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + 1 + containment.cpu_seconds
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def _address_space_bytes() -> int:
    """Give what this process has reserved until now."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _end_with(parent: BaseProcess | None) -> None:
    if parent is not None:
        parent.join()
        os._exit(1)

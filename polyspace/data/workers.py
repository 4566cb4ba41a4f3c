"""Spawned processes for decoding and rendering: light to start, gone when their parent is."""

import os
import signal
import sys
from collections.abc import Callable, Generator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.process import BaseProcess
from threading import Thread
from types import ModuleType
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def pool(workers: int) -> Generator[ProcessPoolExecutor]:
    """Give a pool of spawned processes that end with this one, however it ends."""
    executor = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_set_up)
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


def submit(
    executor: ProcessPoolExecutor, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs
) -> Future[R]:
    """Hand a module's function to the pool.

    A spawned process would first import the program that started it, and with it torch, prefect
    or a notebook's unguarded main; none of that is needed to decode a video.
    """
    with _without_main():
        return executor.submit(work, *args, **kwargs)


@contextmanager
def _without_main() -> Generator[None]:
    """Hide the main module from processes that start meanwhile."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _set_up() -> None:
    """Leave interrupts to the parent, and end when it has: killed, it can't tell anybody."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with, args=(parent_process(),), daemon=True).start()


def _end_with(parent: BaseProcess | None) -> None:
    if parent is not None:
        parent.join()
        os._exit(1)

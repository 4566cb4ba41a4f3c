"""What a run does to the machine: processor and memory, a point every few seconds.

The names are MLflow's own, so that its page of system metrics shows them. Told by a thread, to the
run that was opened last; a run that is shorter than an interval has none. There are no GPU figures
yet.
"""

import os
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress

import psutil

INTERVAL_SECONDS = 10.0
SWITCH = "POLYSPACE_SYSTEM_METRICS"
"""Environment variable; 0 switches it off."""

Tell = Callable[[Mapping[str, float], int], None]
"""Takes figures and the step that they are of."""


@contextmanager
def watched(tell: Tell, interval_seconds: float = INTERVAL_SECONDS) -> Generator[None]:
    """Tell of the machine while the block runs.

    Args:
        tell: Is told; the steps are intervals since 1970, so that a run that goes on doesn't
            begin again at 0.
        interval_seconds: Between two points.
    """
    if os.environ.get(SWITCH) == "0":
        yield
        return
    ended = threading.Event()
    entry = object()
    thread = threading.Thread(
        target=_watch, args=(tell, ended, entry, interval_seconds), name="system", daemon=True
    )
    _open.append(entry)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        _open.remove(entry)


def sample() -> dict[str, float]:
    """Give what the machine and this process use now."""
    memory, own = psutil.virtual_memory(), psutil.Process()
    return {
        "system/cpu_utilization_percentage": psutil.cpu_percent(),
        "system/system_memory_usage_megabytes": memory.used / 1e6,
        "system/system_memory_usage_percentage": memory.percent,
        "system/process_memory_megabytes": own.memory_info().rss / 1e6,
    }


_open: list[object] = []
"""The runs that are open; the last one is told."""


def _watch(tell: Tell, ended: threading.Event, entry: object, interval_seconds: float) -> None:
    psutil.cpu_percent()  # The first call has nothing to compare with.
    while not ended.wait(interval_seconds):
        if _open and _open[-1] is entry:
            with suppress(psutil.Error, OSError):
                tell(sample(), int(time.time() // interval_seconds))

"""What a run does to the machine: processor and memory, a point every few seconds.

The names are MLflow's own, so that its page of system metrics shows them. Told by a thread, to the
run that was opened last; a run that is shorter than an interval has none. Of a GPU it is the
memory alone, and only where the run computes on it.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress

import psutil

INTERVAL_SECONDS = 10.0
FAREWELL_SECONDS = 1.0
"""How long the end of a run waits for points that were held back."""
SWITCH = "POLYSPACE_SYSTEM_METRICS"
"""Environment variable; 0 switches it off."""

MOST_HELD = 30
"""Points that are held back until the run has told figures of its own."""

Tell = Callable[[Mapping[str, float], int, int], None]
"""Takes figures, the step that they are of, and when that was, in milliseconds since 1970."""


@contextmanager
def watched(
    tell: Tell,
    interval_seconds: float = INTERVAL_SECONDS,
    *,
    has_figures: Callable[[], bool] = lambda: True,
) -> Generator[None]:
    """Tell of the machine while the block runs.

    Args:
        tell: Is told; the steps are intervals since 1970, so that a run that goes on doesn't
            begin again at 0.
        interval_seconds: Between two points.
        has_figures: Says whether the run has told figures of its own. Until then, and for five
            minutes at most, points wait: MLflow's page that compares runs begins with whichever
            figure came first.
    """
    if os.environ.get(SWITCH) == "0":
        yield
        return
    ended = threading.Event()
    entry = object()
    thread = threading.Thread(
        target=_watch,
        args=(_Held(tell, has_figures), ended, entry, interval_seconds),
        name="system",
        daemon=True,
    )
    _open.append(entry)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        _open.remove(entry)
        thread.join(FAREWELL_SECONDS)


def sample() -> dict[str, float]:
    """Give what the machine and this process use now."""
    memory, own = psutil.virtual_memory(), psutil.Process()
    return {
        "system/cpu_utilization_percentage": psutil.cpu_percent(),
        "system/system_memory_usage_megabytes": memory.used / 1e6,
        "system/system_memory_usage_percentage": memory.percent,
        "system/process_memory_megabytes": own.memory_info().rss / 1e6,
        **_gpus(),
    }


def _gpus() -> dict[str, float]:
    """Give what is taken of each visible GPU's memory; nothing before somebody computes there."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return {}
    figures: dict[str, float] = {}
    for number in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(number)
        figures[f"system/gpu_{number}_memory_usage_megabytes"] = (total - free) / 1e6
        figures[f"system/gpu_{number}_memory_usage_percentage"] = 100 * (1 - free / total)
    return figures


_open: list[object] = []
"""The runs that are open; the last one is told."""


class _Held:
    """Points that wait for the run's own figures."""

    def __init__(self, tell: Tell, has_figures: Callable[[], bool]) -> None:
        self._tell, self._has_figures = tell, has_figures
        self._points: list[tuple[dict[str, float], int, int]] = []

    def add(self, interval_seconds: float) -> None:
        now = time.time()
        self._points.append((sample(), int(now // interval_seconds), int(now * 1000)))
        if self._has_figures() or len(self._points) > MOST_HELD:
            self.release()

    def release(self) -> None:
        points, self._points = self._points, []
        for point in points:
            self._tell(*point)


def _watch(held: _Held, ended: threading.Event, entry: object, interval_seconds: float) -> None:
    psutil.cpu_percent()  # The first call has nothing to compare with.
    while not ended.wait(interval_seconds):
        if _open and _open[-1] is entry:
            with suppress(psutil.Error, OSError):
                held.add(interval_seconds)
    held.release()

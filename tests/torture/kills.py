"""Writers that are killed at any moment: nothing acknowledged is lost, nothing is done twice."""

import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from polyspace.store import gc
from polyspace.store.local import PARTIAL
from tests.torture.nursery import Nursery, nursery
from tests.torture.outcome import Outcome, Scale
from tests.torture.specimen import Specimen, differences, ledger_lines, lost
from tests.torture.worker import Job

PROMISE = "SIGKILL while extracting: nothing acknowledged is lost, nothing is done twice"
KILLS_PER_STORE = 10
LONGEST_LIFE = 0.35
"""Of the time that a whole store takes: long enough to get on, too short to get through."""


@dataclass
class _Seen:
    """What became of all writers so far."""

    kills: Counter[str] = field(default_factory=Counter[str])
    """By what the writer had done when it was killed."""
    stores: int = 0
    partials: int = 0
    failures: list[str] = field(default_factory=list[str])


def run(scale: Scale, folder: Path) -> Outcome:
    """Kill writers again and again, let the last one of each store finish, and compare."""
    started, seen, draw = time.monotonic(), _Seen(), random.Random(0)
    with nursery(folder / "said") as nurse:
        whole = Specimen().write(folder / "whole.zarr")
        life = _life(nurse, folder / "timed.zarr") * LONGEST_LIFE
        while seen.kills.total() < scale.kills:
            left = min(KILLS_PER_STORE, scale.kills - seen.kills.total())
            path = folder / f"{seen.stores}.zarr"
            _torture(nurse, path, [draw.uniform(0, life) for _ in range(left)], seen)
            seen.failures += differences(path, whole)
            seen.stores += 1
    where = ", ".join(f"{times} {what}" for what, times in sorted(seen.kills.items()))
    details = (
        f"{seen.stores} stores, compared clip by clip (sha256) with one that nobody disturbed; "
        f"killed: {where}; {seen.partials} half-written files for gc"
    )
    total, seconds = seen.kills.total(), time.monotonic() - started
    return Outcome(PROMISE, total, tuple(seen.failures), seconds, details)


def _life(nurse: Nursery, path: Path) -> float:
    """Measure how long a writer works whom nobody disturbs."""
    started = time.monotonic()
    child = nurse.start(Job(str(path)))
    assert child.wait() == 0, child.lines()
    return time.monotonic() - started


def _torture(nurse: Nursery, path: Path, lives: list[float], seen: _Seen) -> None:
    """Kill some writers of one store, and let another one finish it."""
    done: set[int] = set()
    for life in [*lives, None]:
        child = nurse.start(Job(str(path)))
        if life is not None:
            time.sleep(life)
            child.send(signal.SIGKILL)
        status = child.wait()
        if status == -signal.SIGKILL:
            seen.kills[_moment(child.items("claimed"), child.items("acknowledged"))] += 1
        elif status != 0:
            seen.failures.append(f"{path.name}: a writer ended with {child.lines()[-1:]}")
        if again := done & set(child.items("claimed")):
            seen.failures.append(f"{path.name}: items {again} were done again")
        done |= set(child.items("acknowledged"))
        seen.failures += lost(path, done)
    seen.partials += len(_partials(path))
    gc.collect(path)
    seen.failures += [f"{name} is left after gc" for name in _partials(path)]
    seen.failures += _doubled(path)


def _moment(claimed: list[int], acknowledged: list[int]) -> str:
    if not claimed:
        return "before the first item"
    return "within an item" if len(claimed) > len(acknowledged) else "between items or at the end"


def _doubled(path: Path) -> Iterator[str]:
    """Find items that were finished twice."""
    lines = Counter((line["backbone"], line["item"]) for line in ledger_lines(path))
    yield from (f"{path.name}: {times} lines on {on}" for on, times in lines.items() if times > 1)


def _partials(path: Path) -> list[str]:
    return [file.name for file in path.rglob(f"*{PARTIAL}")]

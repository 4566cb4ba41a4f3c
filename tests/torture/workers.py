"""Extractions that share a store and are killed at random: the store is as one of them makes it."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from polyspace.store import lease, storage
from polyspace.store.difference import compare
from polyspace.store.lease import Leases
from polyspace.store.reader import FeatureStore
from tests.support.ucf101 import make_ucf101
from tests.torture.outcome import Outcome, Scale
from tests.torture.specimen import ledger_lines, problems

PROMISE = "SIGKILL of extractions that share a store: equal to what one undisturbed process makes"
PROCESSES = 3
KILLS_PER_STORE = 5
LONGEST_WAIT_SECONDS = 0.5
"""Before a kill."""
PATIENCE_SECONDS = 180.0
"""More than a lease stands that nobody renews."""
ROOT = Path(__file__).parents[2]
OPTIONS = (
    *("--dataset", "ucf101", "--split", "train", "--workers", "1", "--shard_size", "2"),
    *("--student", "efficientnet_lite0", "--teachers", "motion_vectors", "--frames", "24"),
)


@dataclass
class _Seen:
    """What became of all processes so far."""

    kills: Counter[str] = field(default_factory=Counter[str])
    """By what the process was doing."""
    finished: int = 0
    """Processes that went on to the end."""
    shared: int = 0
    """Stores that more than one process has written to."""
    failures: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class _Extraction:
    """The command that a user types, in a process group of its own."""

    process: subprocess.Popen[bytes]
    said: Path

    @classmethod
    def start(cls, folder: Path, store: Path, number: int) -> "_Extraction":
        """Begin, or go on, with a store."""
        said = folder / f"{store.parent.name}.{number}.txt"
        command = (sys.executable, "-m", "polyspace.data.featurize", *OPTIONS)
        where = ("--root", str(folder / "videos"), "--out", str(store.parent))
        with said.open("wb") as output:
            process = subprocess.Popen(
                (*command, *where),
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"},
                start_new_session=True,
            )
        return cls(process, said)

    @property
    def has_ended(self) -> bool:
        """Whether it is over."""
        return self.process.poll() is not None

    def kill(self) -> None:
        """Kill it alone, not those who decode for it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def are_decoders_gone(self) -> bool:
        """Tell whether nobody of its process group is left."""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return True
        return False


def run(scale: Scale, folder: Path) -> Outcome:
    """Kill processes again and again, let some finish each store, and compare."""
    started, seen, draw, stores = time.monotonic(), _Seen(), random.Random(1), 0
    make_ucf101(folder / "videos", groups=8, clips=3)
    whole = folder / "whole" / "ucf101_train.zarr"
    _finish([_Extraction.start(folder, whole, 0)], seen)
    while seen.kills.total() < scale.worker_kills and not seen.failures:
        kills = min(KILLS_PER_STORE, scale.worker_kills - seen.kills.total())
        path = folder / str(stores) / whole.name
        _torture(folder, path, kills, draw, seen)
        seen.failures += _differences(path, whole)
        stores += 1
    where = ", ".join(f"{times} {what}" for what, times in sorted(seen.kills.items()))
    details = (
        f"{stores} stores of {len(FeatureStore.open(whole).ids)} clips from {PROCESSES} processes, "
        f"{seen.shared} of them written by more than one, compared clip by clip (sha256); "
        f"killed: {where}; {seen.finished} processes went on to the end"
    )
    total, seconds = seen.kills.total(), time.monotonic() - started
    return Outcome(PROMISE, total, tuple(seen.failures), seconds, details)


def _torture(folder: Path, path: Path, kills: int, draw: random.Random, seen: _Seen) -> None:
    """Kill processes that fill one store, start others in their place, and let those finish."""
    running = [_Extraction.start(folder, path, number) for number in range(PROCESSES)]
    killed: list[_Extraction] = []
    while len(killed) < kills and not all(extraction.has_ended for extraction in running):
        victim = draw.choice([e for e in running if not e.has_ended])
        # A quarter of them at any time: a store that is being made can be torn, too.
        if draw.random() < 0.75:
            _await(lambda victim=victim: victim.has_ended or bool(_held(path, victim)))
        time.sleep(draw.uniform(0, LONGEST_WAIT_SECONDS))
        if victim.has_ended:
            continue
        before = _lines(path)
        held = _held(path, victim)
        victim.kill()
        killed.append(victim)
        seen.kills[f"with {held} items in hand" if held else "with nothing in hand"] += 1
        if missing := before - _lines(path):
            seen.failures.append(f"{path}: {len(missing)} lines were lost in a kill")
        number = PROCESSES + len(killed)
        running[running.index(victim)] = _Extraction.start(folder, path, number)
    _finish(running, seen)
    gone = _await(lambda: all(e.are_decoders_gone() for e in killed))
    if not gone:
        seen.failures.append(f"{path}: decoders of a killed process are left")
    lines = Counter((line["backbone"], line["item"]) for line in ledger_lines(path))
    seen.failures += [f"{path}: {times} lines on {on}" for on, times in lines.items() if times > 1]
    seen.shared += len(list(path.glob("ledger/*.jsonl"))) > 1


def _finish(running: list[_Extraction], seen: _Seen) -> None:
    """Let processes go on to their ends, which must be good ones."""
    for extraction in running:
        if extraction.process.wait(PATIENCE_SECONDS):
            seen.failures.append(extraction.said.read_text()[-500:])
        else:
            seen.finished += 1


def _held(path: Path, extraction: _Extraction) -> int:
    """Count the work items that a process has leases on."""
    place = storage.at(path)
    holders = [
        Leases(place).holder(name)
        for name in lease.fences(place.list(lease.FOLDER))
        if name.startswith("item")
    ]
    return sum(holder.process == extraction.process.pid for holder in holders if holder)


def _lines(path: Path) -> set[tuple[str, int]]:
    return {(line["backbone"], line["item"]) for line in ledger_lines(path)}


def _differences(path: Path, whole: Path) -> Iterator[str]:
    yield from (f"{path}: {line}" for line in compare(path, whole).lines)
    if FeatureStore.open(path).fingerprint != FeatureStore.open(whole).fingerprint:
        yield f"{path}: its fingerprint differs"
    yield from problems(path)


def _await(happens: Callable[[], bool]) -> bool:
    """Wait until something happens; tell whether it did."""
    patience = time.monotonic() + PATIENCE_SECONDS
    while not happens():
        if time.monotonic() > patience:
            return False
        time.sleep(0.02)
    return True

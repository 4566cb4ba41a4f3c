"""Many writers of one store: as if one had written it, and never two at the same item."""

import random
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from polyspace.store import storage
from tests.torture.nursery import Child, Nursery, nursery
from tests.torture.outcome import Outcome, Scale
from tests.torture.specimen import (
    CLIPS_PER_ITEM,
    Specimen,
    clips,
    differences,
    ledger_lines,
    problems,
)
from tests.torture.worker import Job

PROMISE = "many writers of one store: equal to one writer's; never two at the same item"
SHORT_TERM_SECONDS = 0.3
LONGEST_WRITE_SECONDS = 0.04


@dataclass
class _Seen:
    """What became of everything so far."""

    acknowledged: int = 0
    refused: int = 0
    """Writes of items that somebody else had."""
    won: int = 0
    """Leases that several asked for at once."""
    wanted: int = 0
    """The same by those who were refused."""
    fenced: Counter[str] = field(default_factory=Counter[str])
    """How stopped writers ended, after another one had taken over."""
    failures: list[str] = field(default_factory=list[str])


def run(scale: Scale, folder: Path) -> Outcome:
    """Let writers share stores, contend for leases, and be taken over from."""
    started, seen, draw = time.monotonic(), _Seen(), random.Random(0)
    with nursery(folder / "said") as nurse:
        whole = Specimen().write(folder / "whole.zarr")
        for number in range(scale.rounds):
            _share(nurse, folder / f"{number}.zarr", whole, scale.writers, draw, seen)
        for kind in ("free", "dead"):
            _contend(nurse, folder / kind, scale, kind, seen)
        references = whole, Specimen().write(folder / "tainted.zarr", taint=1)
        for number in range(scale.stops):
            moment = draw.uniform(0, LONGEST_WRITE_SECONDS) if number % 2 else None
            _stop(nurse, folder / f"stopped{number}.zarr", references, moment, seen)
    fenced = ", ".join(f"{count} {how}" for how, count in seen.fenced.items())
    details = (
        f"{scale.rounds} rounds of {scale.writers} writers: {seen.acknowledged:,} writes, "
        f"{seen.refused:,} of somebody else's item refused; {2 * scale.names} leases that all "
        f"wanted at once: {seen.won} had, {seen.wanted:,} refused; writers stopped and taken over "
        f"from: {fenced}"
    )
    total = scale.rounds + seen.refused + seen.wanted + scale.stops
    return Outcome(PROMISE, total, tuple(seen.failures), time.monotonic() - started, details)


def _share(
    nurse: Nursery, path: Path, whole: Path, writers: int, draw: random.Random, seen: _Seen
) -> None:
    """Let some take what is free, some grab anything, and some know only one of the backbones."""
    jobs = [
        Job(
            str(path),
            grabs=draw.randrange(2**32) if number % 2 else None,
            gate=str(path.with_suffix(".gate")),
            backbones=("student",) if number % 4 == 2 else ("student", "teacher"),
        )
        for number in range(writers)
    ]
    for child in _begin(nurse, jobs):
        if child.wait():
            seen.failures.append(f"{path.name}: a writer ended with {child.lines()[-1:]}")
        seen.acknowledged += len(child.items("acknowledged"))
        seen.refused += len(child.items("refused"))
    seen.failures += differences(path, whole)
    lines = Counter((line["backbone"], line["item"]) for line in ledger_lines(path))
    seen.failures += [f"{path.name}: {n} lines on {on}" for on, n in lines.items() if n != 1]


def _contend(nurse: Nursery, path: Path, scale: Scale, kind: str, seen: _Seen) -> None:
    """Let all ask for the same leases at the same times; exactly one may get each."""
    if kind == "dead":
        _leave_dead(nurse, path, scale.names)
    job = Job(str(path), term_seconds=60.0, contest=scale.names, gate=f"{path}.gate")
    children = _begin(nurse, [job] * scale.writers)
    for child in children:
        child.await_line("done")
    winners = Counter(name for child in children for name in child.items("won"))
    seen.won += winners.total()
    seen.wanted += sum(len(child.items("refused")) for child in children)
    for child in children:
        _end(child)
    seen.failures += [
        f"{winners[name]} won the {kind} lease {name}"
        for name in range(scale.names)
        if winners[name] != 1
    ]


def _begin(nurse: Nursery, jobs: Sequence[Job]) -> list[Child]:
    """Let writers begin at the same moment."""
    children = [nurse.start(job) for job in jobs]
    for child in children:
        child.await_line("ready")
    Path(jobs[0].gate).touch()
    return children


def _leave_dead(nurse: Nursery, path: Path, names: int) -> None:
    """Leave leases whose owner was killed: all who contend may take them over."""
    owner = nurse.start(Job(str(path), contest=names, term_seconds=60.0))
    owner.await_line("done")
    _end(owner)
    held = len(storage.at(path).list("leases"))
    assert held == names, f"{held} leases of a killed writer, expected {names}"


def _stop(
    nurse: Nursery, path: Path, references: Sequence[Path], moment: float | None, seen: _Seen
) -> None:
    """Stop a writer until another one has done its work; what it then writes must not count.

    Args:
        nurse: Makes writers.
        path: The store.
        references: What belongs there, and what the stopped writer writes instead.
        moment: Seconds into a write; None for between claiming and writing.
        seen: What is seen.
    """
    job = Job(str(path), term_seconds=SHORT_TERM_SECONDS, taint=1, pause_seconds=0.05)
    old = nurse.start(job if moment is None else replace(job, pause_seconds=0.0))
    old.await_line("claimed 0")
    time.sleep(moment or 0.0)
    old.send(signal.SIGSTOP)
    held = set() if moment is None else set(old.items("claimed"))
    new = nurse.start(Job(str(path), term_seconds=SHORT_TERM_SECONDS))
    if new.wait():
        seen.failures.append(f"{path.name}: the new owner ended with {new.lines()[-1:]}")
    old.send(signal.SIGCONT)
    ended = f"{old.wait()}: {old.lines()[-1]}"
    if ended.startswith("2: error: LeaseError"):
        seen.fenced["refused"] += 1
    elif moment is not None and ended.startswith("0: acknowledged"):
        seen.fenced["had finished its item"] += 1
    else:
        seen.failures.append(f"{path.name}: the old owner ended with {ended}")
    seen.failures += [*_mixed(path, references, held), *problems(path)]


def _mixed(path: Path, references: Sequence[Path], held: set[int]) -> Iterator[str]:
    """Find clips that are not the new owner's, in items that were not the old one's to the end."""
    found, expected, foreign = map(clips, (path, *references))
    fences: dict[tuple[str, int], int] = {}
    for line in ledger_lines(path):
        where = line["backbone"], line["item"]
        fences[where] = max(fences.get(where, 0), line["fence"])
    for name in expected:
        for row, digest in enumerate(found[name]):
            item = row // CLIPS_PER_ITEM
            is_old = item in held and fences[name, item] == 1
            if digest not in (expected[name][row], foreign[name][row] if is_old else None):
                yield f"{path.name}: clip {row} of {name} is not the new owner's"


def _end(child: Child) -> None:
    child.send(signal.SIGKILL)
    child.wait()

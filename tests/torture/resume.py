"""Trainings that are killed at any moment: what they leave is what an undisturbed one does."""

import random
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.torture.nursery import Child, Nursery, nursery
from tests.torture.outcome import Outcome, Scale
from tests.torture.worker import Job

PROMISE = "SIGKILL while training: the same losses and weights, bit by bit, as undisturbed"


@dataclass
class _Seen:
    """What became of all trainings so far."""

    kills: int = 0
    runs: int = 0
    steps: int = 0
    failures: list[str] = field(default_factory=list[str])


def run(scale: Scale, folder: Path) -> Outcome:
    """Train undisturbed; train again and again with kills, and compare every step."""
    started, draw, seen = time.monotonic(), random.Random(0), _Seen()
    with nursery(folder / "said") as nurse:
        begun = time.monotonic()
        undisturbed = nurse.start(Job(str(folder / "whole"), trains=scale.train_steps))
        assert undisturbed.wait() == 0, undisturbed.lines()
        expected = _told(undisturbed)
        # Kills are spread over one run; what is done again makes it a little longer.
        longest = 2 * (time.monotonic() - begun) / (scale.train_kills + 1)
        while seen.kills < scale.train_kills:
            job = Job(str(folder / f"run-{seen.runs}"), trains=scale.train_steps)
            lives = [draw.uniform(0, longest) for _ in range(scale.train_kills - seen.kills)]
            _torture(nurse, job, lives, expected, seen)
    again = seen.steps - seen.runs * len(expected)
    details = (
        f"{seen.runs} runs of {scale.train_steps:,} steps in bfloat16 with dropout, running "
        f"statistics, accumulation, averaged weights and skipped steps; every loss compared as "
        f"hexadecimal, the weights by sha256; {again} steps were taken again"
    )
    seconds = time.monotonic() - started
    return Outcome(PROMISE, seen.kills, tuple(seen.failures), seconds, details)


def _torture(
    nurse: Nursery, job: Job, lives: list[float], expected: dict[str, str], seen: _Seen
) -> None:
    """Kill a run until it ends before its time, or let it end after the last kill."""
    seen.runs += 1
    for life in [*lives, None]:
        child = _let(nurse, job, life)
        killed = child.wait() == -signal.SIGKILL
        told = _told(child)
        seen.kills += killed
        seen.steps += len(told)
        seen.failures += _differences(told, expected)
        if not killed:
            if "end" not in told:
                seen.failures.append(f"a run ended with {child.lines()[-1:]}")
            return


def _let(nurse: Nursery, job: Job, life: float | None) -> Child:
    """Let a training go on, for as long as it lives."""
    child = nurse.start(job)
    if life is not None:
        time.sleep(life)
        child.send(signal.SIGKILL)
    return child


def _told(child: Child) -> dict[str, str]:
    """Give what was said of each step, and of the end."""
    lines = [line.split(" ") for line in child.lines()]
    steps = {words[1]: " ".join(words[2:]) for words in lines if words[0] == "step"}
    ends = [" ".join(words[1:]) for words in lines if words[0] == "end"]
    return {**steps, "end": ends[-1]} if ends else steps


def _differences(told: dict[str, str], expected: dict[str, str]) -> list[str]:
    return [
        f"{name}: {said}, undisturbed {expected.get(name)}"
        for name, said in told.items()
        if said != expected.get(name)
    ]

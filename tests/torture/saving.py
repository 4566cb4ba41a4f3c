"""Savers that are killed at any moment: the newest state loads, is whole, and is not alone."""

import random
import signal
import time
from pathlib import Path

from polyspace.errors import CheckpointError
from tests.torture import learner
from tests.torture.nursery import nursery
from tests.torture.outcome import Outcome, Scale
from tests.torture.worker import Job

PROMISE = "SIGKILL while saving: the newest checkpoint loads, and none is a mixture"
LONGEST_SECONDS = 0.05
AT_WORK = 0.8
"""Share of the kills that wait for a first save; the others may hit a saver that is loading."""


def run(scale: Scale, folder: Path) -> Outcome:
    """Kill savers in one folder, each of which goes on where the one before was."""
    started, draw = time.monotonic(), random.Random(0)
    place, within, failures = folder / "saved", 0, list[str]()
    with nursery(folder / "said") as nurse:
        for _ in range(scale.save_kills):
            child = nurse.start(Job(str(place), saves=True))
            if draw.random() < AT_WORK:
                child.await_line("saved")
            time.sleep(draw.uniform(0, LONGEST_SECONDS))
            child.send(signal.SIGKILL)
            if (status := child.wait()) != -signal.SIGKILL:
                failures.append(f"a saver ended by itself with {status}: {child.lines()[-1:]}")
            within += any(place.glob("*.partial"))
            failures += _look(place, child.items("saved"))
        newest, _ = learner.read(place)
    details = (
        f"{newest:,} states of {learner.STATE_BYTES / 1e6:g} MB, {within} kills left a "
        f"half-written file; each time the newest was loaded, all its values compared, and two or "
        f"more were there"
    )
    return Outcome(PROMISE, scale.save_kills, tuple(failures), time.monotonic() - started, details)


def _look(place: Path, saved: list[int]) -> list[str]:
    """Load the newest state; what was said to be saved has to be there."""
    try:
        newest, states = learner.read(place)
    except (CheckpointError, ValueError) as error:
        return [str(error)]
    if saved and newest < saved[-1]:
        return [f"state {saved[-1]} was said to be saved, the newest is {newest}"]
    return [f"only {states} states at number {newest}"] if newest > 1 and states < 2 else []

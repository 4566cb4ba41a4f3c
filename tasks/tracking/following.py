"""What a stage yields, passed on; what each epoch of steps came to, recorded."""

from collections.abc import Generator, Sequence
from statistics import fmean
from typing import TypeVar

from polyspace.console import Advance
from polyspace.engine.loop import Step
from tasks.tracking.records import Record

R = TypeVar("R")


def follow(record: Record, work: Generator[Advance, None, R]) -> Generator[Advance, None, R]:
    """Pass on what a stage yields and returns; record what each epoch of steps came to."""
    epoch: list[Step] = []
    try:
        while True:
            try:
                advance = next(work)
            except StopIteration as end:
                return end.value
            if isinstance(advance, Step):
                if epoch and advance.epoch != epoch[-1].epoch:
                    _record_epoch(record, epoch)
                    epoch = []
                epoch.append(advance)
            yield advance
    finally:
        # However it ends: the last epoch says why a run was given up.
        _record_epoch(record, epoch)


def _record_epoch(record: Record, steps: Sequence[Step]) -> None:
    """Record an epoch: each loss as the mean over steps that moved weights, and the hold-out."""
    if not steps:
        return
    moved = [step for step in steps if not step.skipped]
    last = steps[-1]
    record.metrics(
        {
            f"loss/{name}": fmean(step.losses[name] for step in moved if name in step.losses)
            for name in dict.fromkeys(name for step in moved for name in step.losses)
        }
        | {f"hold_out/{name}": value for name, value in last.scores.items()}
        | {"lr": last.lr, "skipped_steps": len(steps) - len(moved)},
        step=last.epoch,
    )

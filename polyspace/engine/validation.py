"""validation_metrics.csv: what every kept checkpoint of a run scored, for choosing among them.

One row a checkpoint, named by its step, its file and the sha256 of its bytes. The table is made
anew from the curves at every epoch, so that a run that was interrupted leaves the same one.
"""

import csv
import io
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from polyspace.engine import checkpoint
from polyspace.engine.loop import Step
from polyspace.files import write_atomically

NAME = "validation_metrics.csv"
STEP, EPOCH, CHECKPOINT, SHA256 = "step", "epoch", "checkpoint", "sha256"
IDENTITY = (STEP, EPOCH, CHECKPOINT, SHA256)
"""Columns that say which checkpoint a row is of; all others are metrics."""


@dataclass(frozen=True)
class Row:
    """One checkpoint, and what it scored."""

    step: int
    """Optimizer steps taken when it was written."""
    epoch: int | None
    checkpoint: str
    """Name of its file."""
    sha256: str
    scores: Mapping[str, float]


def write(path: Path, rows: Sequence[Row]) -> None:
    """Write the table; its metrics are those of the first row."""
    names = list(rows[0].scores) if rows else []
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*IDENTITY, *names])
    for row in rows:
        epoch = "" if row.epoch is None else row.epoch
        scores = [repr(float(row.scores[name])) for name in names]
        table.writerow([row.step, epoch, row.checkpoint, row.sha256, *scores])
    write_atomically(path, lambda file: file.write(text.getvalue().encode()))


def record(
    folder: Path,
    epochs: Iterable[Mapping[str, float | int]],
    step: Step,
    *,
    kept: Collection[int],
    steps_per_epoch: int,
    path: Callable[[int], Path],
) -> None:
    """Write the table of a run so far, before any checkpoint that it no longer has is removed.

    Args:
        folder: Where to.
        epochs: The curves: scores of every epoch so far, among other figures.
        step: The last one; it names the scores.
        kept: Epochs whose checkpoints stay.
        steps_per_epoch: Optimizer steps of a whole epoch.
        path: Where an epoch's checkpoint is.
    """
    of_kept = (entry for entry in epochs if int(entry["epoch"]) in kept)
    write(folder / NAME, list(_rows(of_kept, step, steps_per_epoch, path)))


def _rows(
    epochs: Iterable[Mapping[str, float | int]],
    step: Step,
    steps_per_epoch: int,
    path: Callable[[int], Path],
) -> Iterator[Row]:
    for entry in epochs:
        epoch = int(entry["epoch"])
        scores = {name: entry[name] for name in step.scores}
        # What diverged, or was taken away by hand, is nothing to choose.
        if path(epoch).is_file() and all(map(isfinite, scores.values())):
            done = min(epoch * steps_per_epoch, step.total)
            yield Row(done, epoch, path(epoch).name, checkpoint.digest(path(epoch)), scores)

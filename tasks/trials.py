"""One trial of a sweep: its trainings, seed by seed, while the study watches the hold-out."""

import json
import shutil
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path

import torch
from pydantic import JsonValue

from polyspace.console import Advance
from polyspace.engine.loop import Step
from polyspace.errors import CheckpointError, LeaseError, PolySpaceError, StoppedError
from polyspace.report import sweeps as report
from polyspace.report.sweeps import Training
from polyspace.train import sweep
from polyspace.train.sweep import StageConfig, SweepConfig
from polyspace.train.train_converter import ConverterConfig
from tasks import caching, converters, fusion, stages
from tasks.stages import Stage, Work
from tasks.studies import Claimed
from tasks.tracking import PrunedError, Record, Tracker

FAILURES = (PolySpaceError, torch.OutOfMemoryError)
"""What says that a setting is of no use, and nothing of the next one."""


@dataclass
class Attempt:
    """A trial that is being run here."""

    config: SweepConfig
    claimed: Claimed
    tracker: Tracker
    trainings: list[Training] = field(default_factory=list[Training])

    @property
    def folder(self) -> Path:
        """Give where its trainings lie."""
        return self.config.out / "trials" / f"{self.claimed.number:03d}"

    def outcome(self, seconds: float, why: str = "") -> dict[str, JsonValue]:
        """Say what it came to, as the study keeps it."""
        done = [training.model_dump(mode="json") for training in self.trainings]
        return {"trainings": [*done], "seconds": round(seconds, 3), "why": why}


def run(config: SweepConfig, claimed: Claimed, tracker: Tracker) -> str:
    """Run a trial to its end, and write down how it ended; say so in a few words.

    Raises:
        StoppedError: It was told to stop; run again, it goes on.
    """
    attempt, started = Attempt(config, claimed, tracker), time.monotonic()
    try:
        for number in range(config.seeds):
            attempt.trainings.append(_train(attempt, number))
    except PrunedError as pruned:
        claimed.prune(attempt.outcome(time.monotonic() - started, str(pruned)))
        said = f"pruned {pruned}"
    except (StoppedError, LeaseError):
        raise
    except FAILURES as error:
        why = str(error).partition("\n")[0]
        claimed.fail(attempt.outcome(time.monotonic() - started, why))
        said = f"failed: {why}"
    else:
        said = _complete(attempt)
    for state in attempt.folder.glob("*/unfinished"):
        shutil.rmtree(state, ignore_errors=True)
    return said


def _complete(attempt: Attempt) -> str:
    """End a trial with its mean score; one that has none failed."""
    done = attempt.trainings
    seconds = sum(training.seconds for training in done)
    name = attempt.config.score
    if not all(isfinite(value) for training in done for value in training.scores.values()):
        attempt.trainings = []
        attempt.claimed.fail(attempt.outcome(seconds, f"its {name} is no finite number"))
        return f"failed: its {name} is no finite number"
    mean = sum(training.scores[name] for training in done) / len(done)
    attempt.claimed.complete(mean, attempt.outcome(seconds))
    return f"{report.title(name)} {report.number(name, mean)}"


def _train(attempt: Attempt, number: int) -> Training:
    """Train with one of the seeds, or find that it was done already."""
    sweep_of, claimed = attempt.config, attempt.claimed
    seed = sweep_of.stage.seed + number
    folder = attempt.folder / f"seed_{seed}"
    config = sweep_of.trial(claimed.point, seed=number, folder=folder)
    name = f"trial {claimed.number}, seed {seed}"
    stage = replace(_stage(config), name=name, title="", earlier=claimed.record_of(seed))
    watch = claimed if number == 0 else None

    def work(record: Record) -> Work:
        claimed.note_record(seed, record.local_id)
        return _watched(attempt, config, watch)

    try:
        path = stages.run(stage, work, attempt.tracker)
    except CheckpointError:
        if not claimed.was_begun:
            raise
        # Begun on a machine of another kind: its state is of no use here.
        shutil.rmtree(folder / "unfinished", ignore_errors=True)
        path = stages.run(stage, work, attempt.tracker)
    receipt = caching.read(folder)
    return Training(
        seed=seed,
        scores=dict(sweep.result(config, path).scores),
        epochs=_epochs(folder),
        seconds=receipt.seconds if receipt else 0.0,
        checkpoint=path.relative_to(sweep_of.out).as_posix(),
    )


def _stage(config: StageConfig) -> Stage:
    if isinstance(config, ConverterConfig):
        return converters.stage(config)
    return fusion.stage(config)


def _watched(
    attempt: Attempt, config: StageConfig, watch: Claimed | None
) -> Generator[Advance, None, Path]:
    """Train, and after every epoch ask whether to go on.

    Args:
        attempt: The trial.
        config: Of the stage.
        watch: Is told the scores; None where the trial is not pruned any more.

    Raises:
        PrunedError: Others were better by then.
        LeaseError: Somebody else has taken the trial up.
    """
    with closing(sweep.run(config)) as work:
        while True:
            try:
                advance = next(work)
            except StopIteration as end:
                return end.value
            yield advance
            if isinstance(advance, Step) and advance.scores:
                attempt.claimed.assert_held()
                if watch is not None and advance.epoch > 0:
                    _judge(watch, advance, attempt.config)


def _judge(watch: Claimed, step: Step, config: SweepConfig) -> None:
    is_poor = watch.report(step.epoch, step.scores[config.score])
    if is_poor and step.done < step.total:
        seed = f" of seed {config.stage.seed}" if config.seeds > 1 else ""
        raise PrunedError(f"after epoch {step.epoch}{seed}")


def _epochs(folder: Path) -> int:
    """Count the epochs of a training's curves; epoch 0 is the untrained model."""
    return int(json.loads((folder / "curves.json").read_text())["epochs"][-1]["epoch"])

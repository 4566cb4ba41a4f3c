"""The one way to run a stage: skip it if its artefacts prove it done, else run and seal it."""

import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from polyspace import console
from polyspace.config import Config
from polyspace.console import Advance
from tasks import caching, figures, tracking
from tasks.lineage import Source
from tasks.tracking import Record, Tracker


@dataclass(frozen=True)
class Stage:
    """What a stage is called, what decides its result, and what is kept of it."""

    name: str
    config: Config
    dataset: str
    folder: Path
    """Where its artefacts go; no other stage writes there."""
    sources: tuple[Source, ...]
    """What it reads."""
    keep: tuple[str, ...] = ()
    """Patterns of the files in the folder that MLflow gets copies of."""
    figures: tuple[str, ...] = ()
    """JSON files in the folder whose numbers MLflow gets as metrics."""

    @property
    def inputs(self) -> dict[str, JsonValue]:
        """Everything that decides the result, by name."""
        digests: dict[str, JsonValue] = {source.name: source.digest for source in self.sources}
        return {"stage": self.name, "config": self.config.model_dump(mode="json"), **digests}


def run(stage: Stage, work: Generator[Advance, None, Path], tracker: Tracker) -> Path:
    """Give a stage's result, running it only if it isn't there.

    Args:
        stage: What it is.
        work: The stage itself, not yet started; what it returns is the result.
        tracker: Where to record.
    """
    receipt = caching.verified(stage.folder, stage.inputs)
    if receipt is not None:
        console.say(f"{stage.name}: nothing changed since {receipt.finished_at}")
        tracking.resume(tracker).tags({f"reused.{stage.name}": receipt.run_id or "not tracked"})
        return stage.folder / receipt.result
    started = time.monotonic()
    with tracking.run(stage.name, stage.config, stage.dataset, tracker) as record:
        record.sources(stage.sources, stage.dataset)
        result = console.show(tracking.follow(record, work), stage.name)
        _keep(stage, record)
    seconds = time.monotonic() - started
    caching.seal(stage.folder, stage.inputs, result=result, seconds=seconds, run_id=record.run_id)
    return result


def _keep(stage: Stage, record: Record) -> None:
    """Hand what is worth keeping of a stage's folder to the tracker."""
    for name in stage.figures:
        record.metrics(figures.of_record(stage.folder / name))
    for pattern in stage.keep:
        record.artefacts(sorted(stage.folder.glob(pattern)))

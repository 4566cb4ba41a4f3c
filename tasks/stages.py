"""The one way to run a stage: skip it if its artefacts prove it done, else run and seal it."""

import re
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from polyspace import console
from polyspace.config import Config
from polyspace.console import Advance
from tasks import caching, figures, progress, tracking
from tasks.lineage import Source
from tasks.tracking import Record, Tracker

UNKNOWN = re.compile(r"[^\w\-. :/]")
"""What MLflow refuses in the names of tags."""


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
    earlier: str | None = None
    """The MLflow run that it goes on with; None: one of its own."""
    title: str = ""
    """What its run is called; the name, unless given."""
    headline: Callable[[Path], Mapping[str, float]] | None = None
    """Picks of the result the few figures that runs are compared by in MLflow."""

    @property
    def inputs(self) -> dict[str, JsonValue]:
        """Everything that decides the result, by name."""
        digests: dict[str, JsonValue] = {source.name: source.digest for source in self.sources}
        return {"stage": self.name, "config": self.config.model_dump(mode="json"), **digests}


Work = Generator[Advance, None, Path]
"""A stage that is not yet started; what it returns is the result."""


def run(
    stage: Stage,
    work: Work | Callable[[Record], Work],
    tracker: Tracker,
    *,
    quiet: bool = False,
) -> Path:
    """Give a stage's result, running it only if it isn't there.

    Args:
        stage: What it is.
        work: The stage itself, or what makes it of the open record, for one that has more to ask
            and to tell. It is not called where the result is there.
        tracker: Where to record.
        quiet: Say nothing of a result that is there.
    """
    receipt = caching.verified(stage.folder, stage.inputs)
    if receipt is not None:
        if not quiet:
            console.say(f"{stage.name}: nothing changed since {receipt.finished_at}")
        reused = f"reused.{UNKNOWN.sub('', stage.name)}"
        tracking.resume(tracker).tags({reused: receipt.run_id or "not tracked"})
        return stage.folder / receipt.result
    started = time.monotonic()
    opened = tracking.run(
        stage.name,
        stage.config,
        stage.dataset,
        tracker,
        title=stage.title,
        earlier=stage.earlier,
    )
    with opened as record:
        record.sources(stage.sources, stage.dataset)
        begun = work if isinstance(work, Generator) else work(record)
        result = progress.show(tracking.follow(record, begun), stage.name)
        _keep(stage, record, result)
    seconds = time.monotonic() - started
    caching.seal(stage.folder, stage.inputs, result=result, seconds=seconds, run_id=record.run_id)
    return result


def _keep(stage: Stage, record: Record, result: Path) -> None:
    """Hand what is worth keeping of a stage's folder to the tracker."""
    for name in stage.figures:
        record.metrics(figures.of_record(stage.folder / name))
    if stage.headline and record.is_kept:
        record.metrics(stage.headline(result))
    for pattern in stage.keep:
        record.artefacts(sorted(stage.folder.glob(pattern)))

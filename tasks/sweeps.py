"""Sweeps, as tasks: trials run here or by workers, and one table and one picture at the end."""

import platform
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import JsonValue

from polyspace import console
from polyspace.engine.keeper import KeepSettings
from polyspace.errors import CheckpointError, LeaseError, SweepError
from polyspace.report import sweeps as report
from polyspace.report.figures import canvas
from polyspace.report.figures import sweep as figure
from polyspace.store.reader import FeatureStore, find_store
from polyspace.train.search import Choices, Point
from polyspace.train.sweep import SweepConfig
from polyspace.train.train_fusion import FusionConfig
from tasks import (
    artefacts,
    caching,
    comparisons,
    lineage,
    names,
    progress,
    sharing,
    studies,
    tracking,
    trials,
)
from tasks import parts as handing
from tasks.sharing import Job
from tasks.tracking import ALONE, Tracker

FLOW = "sweep_part"
"""Does a part."""
LOOK_SECONDS = 2.0
"""Between two looks at whether somebody else's trial has become free."""
PARENT = "mlflow_run"
"""Note in the study: the MLflow run that trials nest under."""
DIGITS = 12
"""Of a digest, in the study."""


@task(
    name="run trials", task_run_name=names.TaskName("run trials"), cache_policy=NO_CACHE, retries=0
)
def run(config: SweepConfig, tracker: Tracker = ALONE) -> None:
    """Run trials until there are none left, by whomever."""
    drain(config, tracker)


@task(
    name="distribute trials",
    task_run_name=names.TaskName("distribute trials"),
    cache_policy=NO_CACHE,
    retries=0,
)
def distribute(
    config: SweepConfig,
    parts: int,
    patience_seconds: float,
    deployment: str = handing.DEPLOYMENT,
    tracker: Tracker = ALONE,
) -> None:
    """Let workers run the trials."""
    handing.refuse_unknown(f"{FLOW}/{deployment}")
    with studies.opened(config, identity(config)) as study:
        job = Job(
            deployment=f"{FLOW}/{deployment}",
            parameters={
                "config": _for_workers(config),
                "track": tracker.enabled,
                "parent_id": tracker.parent_id,
            },
            about=f"sweep of {config.stage_name}",
            units="trials",
            look=study.look,
            error=SweepError,
        )
        progress.show(sharing.run(job, parts=parts, patience_seconds=patience_seconds), "sweep")


@task(name="run part", task_run_name=names.TaskName("run part"), cache_policy=NO_CACHE, retries=0)
def share(config: SweepConfig, tracker: Tracker) -> None:
    """Run what is free of a sweep's trials.

    Raises:
        SweepError: The study, which is made before any part begins, can't be seen from here.
    """
    if not (config.out / studies.FILE).is_file():
        raise SweepError(
            f"{config.out} was made for this sweep, and can't be seen from {platform.node()}: give "
            f"folders that every worker sees at the same place"
        )
    drain(config, tracker)


@task(
    name="compare trials",
    task_run_name=names.TaskName("compare trials"),
    cache_policy=NO_CACHE,
    retries=0,
)
def conclude(config: SweepConfig, tracker: Tracker = ALONE) -> Path:
    """Write the table and the picture; return the table.

    Raises:
        SweepError: Every trial failed.
    """
    with studies.opened(config, identity(config)) as study:
        found = comparisons.record(config, _store(config), study.trials)
    written = comparisons.write(found, config.out)
    record = tracking.resume(tracker)
    record.artefacts(written)
    if found.best:
        record.metrics({"trials": len(found.trials), **found.best.scores})
        record.tags({"best": f"trial {found.best.number}"})
    artefacts.table("sweep", report.rows(found), report.sentence(found))
    artefacts.picture("sweep picture", lambda: canvas.data_uri(figure.draw(found)))
    comparisons.say(found, config, written)
    if found.best is None:
        why = next((trial.why for trial in found.trials if trial.why), "none was run")
        raise SweepError(f"all {len(found.trials)} trials failed: {why}")
    return written[0]


@contextmanager
def tracked(config: SweepConfig, *, enabled: bool) -> Generator[Tracker]:
    """Keep the run open that the trials' runs nest under: a study's own, however often begun."""
    said = identity(config)
    with studies.opened(config, said) as study:
        earlier = study.remembered(PARENT)
    dataset = _store(config).dataset
    with tracking.pipeline("sweep", config, dataset, enabled=enabled, earlier=earlier) as tracker:
        if tracker.parent_id not in (None, earlier):
            with studies.opened(config, said) as study:
                study.note(PARENT, tracker.parent_id)
        yield tracker


def drain(config: SweepConfig, tracker: Tracker) -> None:
    """Run trials until there are none left; wait for those of others, who may be lost.

    Raises:
        StoppedError: It was told to stop; run again, it goes on.
    """
    with studies.opened(config, identity(config)) as study:
        while True:
            claimed = study.claim()
            if claimed is not None:
                try:
                    said = trials.run(config, claimed, tracker)
                except LeaseError as error:
                    said = f"left to others: {error}"
                finally:
                    claimed.give_back()
                sight = study.look()
                place = f"{sight.total - sight.pending}/{sight.total}  trial {claimed.number}"
                console.say(f"{place}: {said}  ({_settings(claimed.point)})")
            elif study.is_done:
                return
            else:
                time.sleep(LOOK_SECONDS)


def identity(config: SweepConfig) -> dict[str, JsonValue]:
    """Say what all trials of a study have in common, paths by what lies there.

    Raises:
        ConfigError: What is searched can't be.
        CheckpointError: A file that is read is not there.
    """
    space, stage = config.space(), config.stage
    options = config.model_dump(mode="json", exclude={"stage", "search", "out", "trials"})
    deciding = {
        f"stage.{name}": value
        for name, value in stage.model_dump(mode="json").items()
        if name not in KeepSettings.model_fields and not isinstance(getattr(stage, name), Path)
    }
    read = [stage.converters] if isinstance(stage, FusionConfig) else []
    lists = [part for part in space.settings if isinstance(part, Choices)]
    read += [value for part in lists for value in part.values.values() if isinstance(value, Path)]
    return {
        "stage": config.stage_name,
        "search": [*map(str, space.settings)],
        **options,
        **deciding,
        "features": _store(config).fingerprint[:DIGITS],
        "files": [*sorted({_digest(path) for path in read})],
        "code": caching.code()[:DIGITS],
    }


def _store(config: SweepConfig) -> FeatureStore:
    stage = config.stage
    return FeatureStore.open(find_store(config.features, stage.dataset, stage.split))


def _digest(path: Path) -> str:
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}: train one, or mend the path")
    return lineage.checkpoint(path, path.name).digest[:DIGITS]


def _for_workers(config: SweepConfig) -> dict[str, JsonValue]:
    """Give the settings of a part, which may run in another folder, as JSON values."""
    terms = tuple(str(setting) for setting in config.space().settings)
    said = handing.for_workers(config.stage, save_dir=config.stage.save_dir)
    return {**handing.for_workers(config, search=terms), "stage": said}


def _settings(point: Point) -> str:
    return ", ".join(f"{name} {report.setting(value)}" for name, value in point.items())

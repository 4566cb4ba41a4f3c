"""Predictions of an exported model for a folder of videos, as a task."""

from dataclasses import asdict
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from polyspace.export import contents
from polyspace.files import sha256_file
from polyspace.inference import finding, scoring
from polyspace.inference.predictions import Summary
from polyspace.inference.scoring import ScoreConfig
from tasks import artefacts, figures, progress, tracking
from tasks.stages import UNKNOWN
from tasks.tracking import ALONE, Tracker


@task(
    name="score videos", task_run_name="predict {config.videos}", cache_policy=NO_CACHE, retries=0
)
def score(config: ScoreConfig, tracker: Tracker = ALONE) -> Path:
    """Score what isn't scored yet; return the table."""
    bundle = finding.find(config.bundle)
    dataset, title = scoring.dataset(bundle), f"predict {config.videos}"
    with tracking.run("predict", config, dataset, tracker, title=title) as record:
        record.tags({"bundle_sha256": sha256_file(bundle / contents.SUMS)})
        path = progress.show(tracking.follow(record, scoring.run(config)), "predict")
        found = scoring.summary(path)
        record.metrics(_figures(found))
        record.artefacts([path])
    _show(found)
    return path


def _figures(found: Summary) -> dict[str, float]:
    """Give the numbers of a summary under the names that MLflow takes."""
    values = figures.flatten(asdict(found), "/")
    return {
        UNKNOWN.sub("_", name): float(value)
        for name, value in values.items()
        if isinstance(value, int | float)
    }


def _show(found: Summary) -> None:
    """Show what came of it with the Prefect run, if this is part of one."""
    rows = [
        {"what": "class", "name": name, "videos": count} for name, count in found.classes.items()
    ]
    rows += [
        {"what": "could not be read", "name": reason, "videos": count}
        for reason, count in found.refused.items()
    ]
    artefacts.table("predictions", rows, str(found))

"""The fusion head, as a task."""

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from polyspace.report import training
from polyspace.report.records.training import read_curves
from polyspace.store.reader import find_store
from polyspace.train import train_fusion
from polyspace.train.train_fusion import FusionConfig
from tasks import artefacts, lineage, names, stages
from tasks.lineage import Source
from tasks.stages import Stage
from tasks.tracking import ALONE, Tracker

CURVES = "curves.json"


@task(
    name="train fusion",
    task_run_name=names.TaskName("train_fusion"),
    cache_policy=NO_CACHE,
    retries=0,
)
def train(config: FusionConfig, tracker: Tracker = ALONE) -> Path:
    """Train the fusion head; return the checkpoint of the best epoch."""
    path = stages.run(stage(config), train_fusion.run(config), tracker)
    if artefacts.is_shown():
        rows = training.fusion(read_curves(path.with_name(CURVES)))
        artefacts.table("train fusion", rows, f"{path}, by the hold-out of the training split.")
    return path


def stage(config: FusionConfig) -> Stage:
    """Say what decides the head, and what is kept of it."""
    return Stage(
        name="train_fusion",
        config=config,
        dataset=config.dataset,
        folder=config.save_dir,
        sources=(*_clips(config), lineage.checkpoint(config.converters, "converters")),
        keep=("fusion.pt", CURVES),
        title=names.of("train_fusion", config),
        headline=_headline,
    )


def _headline(path: Path) -> dict[str, float]:
    return {"hold_out/best_top1": training.accuracy(read_curves(path.with_name(CURVES)))}


def _clips(config: FusionConfig) -> tuple[Source, ...]:
    """Name the clips that the head is trained on: stored features or videos."""
    if not config.use_cached_features:
        return lineage.videos(config.dataset, config.root, (config.split,))
    folder = config.cached_features_path or config.root
    return (lineage.store(find_store(folder, config.dataset, config.split)),)

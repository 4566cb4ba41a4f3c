"""Converters, as a task."""

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from polyspace.report import training
from polyspace.report.records.training import read_curves
from polyspace.store.reader import FeatureStore, find_store
from polyspace.train import train_converter
from polyspace.train.train_converter import ConverterConfig
from tasks import artefacts, lineage, names, stages
from tasks.stages import Stage
from tasks.tracking import ALONE, Tracker

CURVES = "curves.json"


@task(
    name="train converters",
    task_run_name=names.TaskName("train_converter"),
    cache_policy=NO_CACHE,
    retries=0,
)
def train(config: ConverterConfig, tracker: Tracker = ALONE) -> Path:
    """Train the converters; return the checkpoint of the best epoch."""
    path = stages.run(stage(config), train_converter.run(config), tracker)
    if artefacts.is_shown():
        curves = read_curves(path.with_name(CURVES))
        rows = training.converters(curves, config.teachers, together=config.trunk > 0)
        artefacts.table("train converters", rows, f"{path}, by the hold-out of the training split.")
    return path


def stage(config: ConverterConfig) -> Stage:
    """Say what decides the converters, and what is kept of them."""
    store = find_store(config.features, config.dataset, config.split)
    return Stage(
        name="train_converter",
        config=config,
        dataset=FeatureStore.open(store).dataset,
        folder=config.save_dir,
        sources=(lineage.store(store),),
        keep=("converters.pt", CURVES),
        title=names.of("train_converter", config),
        headline=lambda path: _headline(path, config),
    )


def _headline(path: Path, config: ConverterConfig) -> dict[str, float]:
    curves, together = read_curves(path.with_name(CURVES)), config.trunk > 0
    return {"hold_out/best_r2": training.explained(curves, config.teachers, together=together)}

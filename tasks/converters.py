"""Converters, as a task."""

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from polyspace.store.reader import FeatureStore, find_store
from polyspace.train import train_converter
from polyspace.train.train_converter import ConverterConfig
from tasks import lineage, stages
from tasks.stages import Stage
from tasks.tracking import ALONE, Tracker


@task(name="train converters", task_run_name="train converters", cache_policy=NO_CACHE)
def train(config: ConverterConfig, tracker: Tracker = ALONE) -> Path:
    """Train the converters; return the checkpoint of the best epoch."""
    return stages.run(stage(config), train_converter.run(config), tracker)


def stage(config: ConverterConfig) -> Stage:
    """Say what decides the converters, and what is kept of them."""
    store = find_store(config.features, config.dataset, config.split)
    return Stage(
        name="train_converter",
        config=config,
        dataset=FeatureStore.open(store).dataset,
        folder=config.save_dir,
        sources=(lineage.store(store),),
        keep=("converters.pt", "curves.json"),
    )

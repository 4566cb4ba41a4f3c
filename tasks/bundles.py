"""The exported bundle, as a task."""

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from polyspace.export import bundle
from polyspace.export.bundle import ExportConfig
from polyspace.store.reader import FeatureStore, find_store
from tasks import lineage, stages
from tasks.stages import Stage
from tasks.tracking import ALONE, Tracker


@task(name="quantize and export", task_run_name="quantize and export", cache_policy=NO_CACHE)
def export(config: ExportConfig, tracker: Tracker = ALONE) -> Path:
    """Export the trained models in a smaller type, with proof; return the bundle's folder."""
    store = find_store(config.features, config.dataset, config.split)
    stage = Stage(
        name="quantize_export",
        config=config,
        dataset=FeatureStore.open(store).dataset,
        folder=config.out,
        sources=(
            lineage.store(store),
            lineage.checkpoint(config.converters, "converters"),
            lineage.checkpoint(config.fusion, "fusion"),
        ),
        keep=("model.safetensors", "config.json", "proof.json"),
        figures=("proof.json",),
    )
    return stages.run(stage, bundle.run(config), tracker)

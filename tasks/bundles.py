"""The exported bundles, as tasks: one a format."""

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from polyspace import console
from polyspace.errors import ExportError
from polyspace.export import bundle
from polyspace.export.bundle import ExportConfig
from polyspace.export.formats.kinds import FormatName
from polyspace.store.reader import FeatureStore, find_store
from tasks import lineage, stages
from tasks.stages import Stage
from tasks.tracking import ALONE, Tracker


def export_all(config: ExportConfig, tracker: Tracker = ALONE) -> Path:
    """Export in every format; return the folder of the bundles.

    Raises:
        ExportError: A format failed its proof and `config.refused` says to fail; the others are
            there.
    """
    refused: list[str] = []
    for name in config.formats:
        try:
            export(config.model_copy(update={"formats": (name,)}), name, tracker)
        except ExportError as error:
            refused.append(f"{name}: {error}")
    if refused and config.refused == "fail":
        raise ExportError("; ".join(refused))
    for line in refused:
        console.say(f"refused: {line}")
    return config.out


@task(name="quantize and export", task_run_name="export {name}", cache_policy=NO_CACHE)
def export(config: ExportConfig, name: FormatName, tracker: Tracker = ALONE) -> Path:
    """Export the trained models in one format, with proof; return the bundle's folder."""
    store = find_store(config.features, config.dataset, config.split)
    training = find_store(config.features, config.dataset, "train")
    stage = Stage(
        name=f"export {name}",
        config=config,
        dataset=FeatureStore.open(store).dataset,
        folder=config.folder(name),
        sources=(
            lineage.store(store),
            lineage.store(training),
            lineage.checkpoint(config.converters, "converters"),
            lineage.checkpoint(config.fusion, "fusion"),
        ),
        keep=("*.safetensors", "*.onnx", "*.pt2", "*.json", "*.html", "*.md", "SHA256SUMS"),
        figures=("proof.json",),
    )
    return stages.run(stage, bundle.run(config, name), tracker)

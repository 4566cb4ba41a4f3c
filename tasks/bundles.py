"""The exported bundles, as tasks: one a format."""

from pathlib import Path

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from polyspace.errors import ExportError
from polyspace.export import bundle, outcome
from polyspace.export.bundle import ExportConfig
from polyspace.export.formats.kinds import FormatName
from polyspace.report.exports import formats, overview
from polyspace.report.records.exports import read_exports
from polyspace.report.records.proof import read_proof
from polyspace.store.reader import FeatureStore, find_store
from tasks import lineage, stages, tracking
from tasks.lineage import Source
from tasks.stages import Stage, Work
from tasks.tracking import ALONE, Record, Tracker


def export_all(config: ExportConfig, tracker: Tracker = ALONE) -> Path:
    """Export in every format; return the folder of the bundles, with all formats side by side.

    Raises:
        ExportError: A format failed its proof and `config.refused` says to fail; the others are
            there.
    """
    refused: dict[str, str] = {}
    for name in config.formats:
        try:
            export(config.model_copy(update={"formats": (name,)}), name, tracker)
        except ExportError as error:
            refused[name] = str(error)
    fails = config.refused == "fail"
    if path := outcome.write(config.out, refused, fails=fails):
        _record(path, tracking.resume(tracker))
    outcome.conclude(refused, fails=fails)
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
            *_evaluation(config),
        ),
        keep=("*.safetensors", "*.onnx", "*.pt2", "*.json", "*.html", "*.md", "SHA256SUMS"),
    )
    work = bundle.run(config, name)
    return stages.run(stage, lambda record: _measured(work, record), tracker)


def _evaluation(config: ExportConfig) -> tuple[Source, ...]:
    """Name the evaluation that the model card quotes, if it quotes one."""
    if config.evaluation is None:
        return ()
    return (lineage.checkpoint(config.evaluation / "evaluation.json", "evaluation"),)


def _measured(work: Work, record: Record) -> Work:
    """Export, and record what the proof measured under the name of the format."""
    folder = yield from work
    record.metrics(formats.figures(read_proof(folder / "proof.json")))
    return folder


def _record(path: Path, record: Record) -> None:
    """Show all formats with the Prefect run, if this is part of one, and give MLflow the pages."""
    exports = read_exports(path)
    if flow_run.id:
        rows = [dict(row) for row in formats.rows(exports)]
        create_table_artifact(table=rows, key="formats", description=formats.sentence(exports))
    for proof in exports.proofs:
        record.metrics(formats.figures(proof))
    record.artefacts([path.with_name(overview.PAGE), path])

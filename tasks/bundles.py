"""The exported bundles, as tasks: one a format."""

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from polyspace.errors import ExportError
from polyspace.export import bundle, outcome
from polyspace.export.bundle import ExportConfig
from polyspace.export.formats.kinds import FormatName
from polyspace.report.exports import formats, overview
from polyspace.report.figures import canvas
from polyspace.report.figures import exports as figure
from polyspace.report.records.exports import Exports, read_exports
from polyspace.report.records.proof import read_proof
from polyspace.store.reader import FeatureStore, find_store
from tasks import artefacts, lineage, names, stages, tracking
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


@task(
    name="quantize and export",
    task_run_name=names.TaskName("export"),
    cache_policy=NO_CACHE,
    retries=0,
)
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
        title=names.of("export", config),
        headline=_headline,
    )
    work = bundle.run(config, name)
    return stages.run(stage, lambda record: _measured(work, record), tracker)


def _headline(folder: Path) -> dict[str, float]:
    proof = read_proof(folder / "proof.json")
    return {"top1": proof.top1_export.value, "size_ratio": proof.ratio}


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
    _show(exports)
    for proof in exports.proofs:
        record.metrics(formats.figures(proof))
    record.artefacts([path.with_name(overview.PAGE), path])


def _show(exports: Exports) -> None:
    artefacts.table("formats", formats.rows(exports), formats.sentence(exports))
    for batch in formats.batches(exports.proofs)[:1]:
        artefacts.picture(
            "formats picture",
            lambda batch=batch: canvas.data_uri(figure.draw(exports.proofs, batch)),
            f"Size and time of a batch of {batch}, beside float32.",
        )

"""The report on one evaluation: HTML for people, Markdown for trackers, CSV for spreadsheets.

JSON for programs is the record itself, evaluation.json.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from polyspace.report import findings, output, words
from polyspace.report.blocks import Answer, Document, Section
from polyspace.report.figures.clips import Frames
from polyspace.report.records import looks
from polyspace.report.records.arrays import Vectors, read_frames, read_projections, read_vectors
from polyspace.report.records.evaluation import Evaluation, read_evaluation
from polyspace.report.records.exports import Exports, read_exports
from polyspace.report.records.looks import Looks
from polyspace.report.records.methods import Method
from polyspace.report.records.training import Curves, read_curves
from polyspace.report.sections import (
    classes,
    clips,
    cost,
    export,
    gates,
    methods,
    protocol,
    provenance,
    spaces,
    training,
    translation,
)


@dataclass(frozen=True, eq=False)
class Material:
    """Everything that a report is made from."""

    evaluation: Evaluation
    vectors: Vectors
    projected: Mapping[str, Vectors]
    """By method: the same in the plane."""
    converters: Curves | None
    fusion: Curves | None
    frames: Sequence[Frames | None]
    """Of the clips that are shown."""
    looks: Looks
    """How often the test split was looked at before."""
    exports: Exports | None = None
    """The exported bundles, where there are any."""
    sizes: Mapping[str, int] = field(default_factory=dict[str, int])
    """Bytes on disk by what the store holds."""


def read(
    folder: Path, *, exports: Path | None = None, sizes: Mapping[str, int] | None = None
) -> Material:
    """Read an evaluation's folder.

    Args:
        folder: Holds evaluation.json, vectors.npz and the curves of what was trained.
        exports: exports.json of the folder of bundles.
        sizes: Bytes on disk by what the store holds.

    Raises:
        RecordError: A record is missing, or of another schema.
    """
    found = read_evaluation(folder / "evaluation.json")
    return Material(
        evaluation=found,
        vectors=read_vectors(folder / "vectors.npz", found),
        projected=read_projections(folder / "projections.npz", found),
        converters=_curves(folder / "curves_converters.json"),
        fusion=_curves(folder / "curves_fusion.json"),
        frames=read_frames(folder / "frames.npz", len(found.shown)),
        looks=looks.read(folder / "evaluation.json"),
        exports=read_exports(exports) if exports else None,
        sizes=sizes or {},
    )


def write(material: Material, out: Path, *, name: str = "report") -> Path:
    """Write NAME.html, NAME.md with its pictures in figures/, and NAME.csv; give the first."""
    return output.write(compose(material), out, name, {"csv": table(material.evaluation)})


def compose(material: Material) -> Document:
    """Put the report together, in the order of the questions that a reader has."""
    found = material.evaluation
    of = found.dataset
    return Document(
        title=f"PolySpace: {found.student} on {of.name}",
        over=f"{of.split} split · {found.device} · {words.moment(found.created)}",
        warnings=findings.warnings(found),
        answer=_answer(material),
        command=found.command,
        sections=tuple(_sections(material)),
    )


def table(evaluation: Evaluation) -> str:
    """Give every row of the table as CSV, shares as numbers."""
    text = io.StringIO()
    rows = [_row(method) for method in evaluation.methods]
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _sections(material: Material) -> Iterator[Section]:
    found = material.evaluation
    yield methods.section(found)
    yield methods.comparisons(found)
    yield protocol.section(found, material.looks)
    yield classes.section(found)
    yield classes.calibration(found)
    if found.translation:
        yield translation.section(found)
    yield spaces.section(found, material.vectors, material.projected)
    if found.gates:
        yield gates.section(found)
    if found.shown:
        yield clips.section(found, material.frames)
    if found.cost:
        yield cost.section(found, found.cost)
    if material.converters or material.fusion:
        yield training.section(found, material.converters, material.fusion)
    if material.exports:
        yield export.section(found, material.exports, material.sizes)
    yield provenance.section(found)


def _answer(material: Material) -> Answer:
    found = material.evaluation
    return Answer(
        question=(
            f"Does it help to fuse what {found.student} sees with its own translations into "
            f"{words.listed(found.teachers)}?"
        ),
        said=findings.answer(found),
        verdict=findings.verdict(found),
        figures=_figures(material),
    )


def _figures(material: Material) -> dict[str, str]:
    found = material.evaluation
    compared = found.comparison
    own, other = found.method(compared.method), found.method(compared.baseline)
    return {
        f"{words.method(own.name)}, top-1": words.percent(own.top1.value),
        f"{words.method(other.name)} alone": words.percent(other.top1.value),
        f"points {words.signed_interval(compared.difference)}": words.points(
            compared.difference.value
        ),
        "chance": words.percent(found.chance),
        "clips evaluated": words.percent(found.coverage.share),
        **_smallest(material.exports),
    }


def _smallest(exports: Exports | None) -> dict[str, str]:
    """Give the size of the smallest format."""
    if not exports or not exports.formats:
        return {}
    proof = min(exports.proofs, key=lambda proof: proof.ratio)
    return {f"of float32: {proof.kind}": words.percent(proof.ratio)}


def _row(method: Method) -> dict[str, str | int | float]:
    return {
        "method": method.name,
        "kind": method.kind,
        "seeds": method.seeds,
        "top1": method.top1.value,
        "top1_low": method.top1.low,
        "top1_high": method.top1.high,
        "top5": method.top5.value,
        "covered_top1": method.covered_top1,
        "mean_class": method.mean_class,
        "ece": method.ece,
        "log_loss": method.log_loss,
        "brier": method.brier,
        "parameters": method.parameters,
    }


def _curves(path: Path) -> Curves | None:
    """Read curves, if the training left any beside its checkpoint."""
    return read_curves(path) if path.is_file() else None

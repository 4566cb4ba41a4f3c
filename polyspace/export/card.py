"""The model card of a bundle: README.md, whose every number comes from a record."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import JsonValue

from polyspace.errors import ExportError
from polyspace.export import front_matter
from polyspace.files import write_atomically
from polyspace.models.backbones.licences import licence
from polyspace.models.backbones.training_data import trained_on
from polyspace.report import findings, markdown, words
from polyspace.report.blocks import Block, Facts, Heading, Paragraph, Section, Table
from polyspace.report.exports import census, limits, tables
from polyspace.report.exports import proof as page
from polyspace.report.records.bundle import Bundle, WeightsRecord, read_bundle
from polyspace.report.records.evaluation import Evaluation, read_evaluation
from polyspace.report.records.methods import Method
from polyspace.report.records.proof import Proof, read_proof

CARD = "README.md"


def write(folder: Path, evaluation: Path | None, spdx: str | None = None) -> Path:
    """Write README.md beside a bundle's config.json and proof.json; give its path.

    Args:
        folder: The bundle.
        evaluation: Folder of an evaluation of the same model, for the metrics.
        spdx: What its owner puts the model under, as an SPDX identifier.

    Raises:
        RecordError: A record is missing, or of another version.
        ExportError: The evaluation is of another model.
    """
    bundle, proof = read_bundle(folder / "config.json"), read_proof(folder / "proof.json")
    text = render(bundle, proof, quoted(evaluation), spdx).encode()
    write_atomically(folder / CARD, lambda file: file.write(text))
    return folder / CARD


def quoted(evaluation: Path | None) -> Evaluation | None:
    """Read the evaluation that a card quotes, if there is one.

    Raises:
        RecordError: The folder holds none, or one of another version.
    """
    return read_evaluation(evaluation / "evaluation.json") if evaluation else None


def render(
    bundle: Bundle, proof: Proof, evaluation: Evaluation | None, spdx: str | None = None
) -> str:
    """Put the card together; the same records give the same text.

    Raises:
        ExportError: The evaluation is of another model.
    """
    if evaluation:
        _refuse_other(bundle, evaluation)
    title = f"{bundle.student.name} on {proof.dataset}, {bundle.kind}"
    parts = [
        front_matter.render(bundle, proof, spdx),
        f"# {markdown.escape(title)}",
        *(f"> **{markdown.escape(text)}**" for text in page.warnings(bundle)),
        *(markdown.section(part, "") for part in _sections(bundle, proof, evaluation, spdx)),
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _refuse_other(bundle: Bundle, evaluation: Evaluation) -> None:
    """Refuse figures of another model: other backbones, or other classes."""
    own = (bundle.student.name, set(bundle.teachers), bundle.class_names)
    other = (evaluation.student, set(evaluation.teachers), evaluation.dataset.class_names)
    for what, ours, theirs in zip(("student", "teachers", "classes"), own, other, strict=True):
        if ours != theirs:
            raise ExportError(
                f"--evaluation is of other {what} ({_listed(theirs)}) than the model "
                f"({_listed(ours)}): give the evaluation of this model, or none"
            )


def _listed(names: str | set[str] | tuple[str, ...]) -> str:
    some = [names] if isinstance(names, str) else sorted(names)
    return ", ".join(some[:6]) + (" …" if len(some) > 6 else "")


def _sections(
    bundle: Bundle, proof: Proof, evaluation: Evaluation | None, spdx: str | None
) -> Iterator[Section]:
    yield Section("what", "What it is", _what(bundle, proof))
    yield Section("data", "Data", [_data(bundle, proof, evaluation)])
    yield Section("backbones", "Backbones and their licences", _backbones(bundle, spdx))
    yield Section("metrics", "Metrics", _metrics(bundle, evaluation))
    yield Section("proof", "Proof that the export agrees", _proof(proof))
    said = [Paragraph(f"- {text}") for text in limits.of(bundle, proof, evaluation)]
    yield Section("limits", "Limits", said)
    yield Section("precision", "Precision policy", [*census.policy(bundle), _compute(proof)])
    yield Section("use", "How to load it", page.loading(bundle))
    yield Section("provenance", "Provenance", [page.provenance(bundle, proof)])


def _what(bundle: Bundle, proof: Proof) -> list[Block]:
    teachers = words.listed(bundle.teachers) if bundle.teachers else "teachers"
    names = bundle.class_names
    of, views = bundle.student.tokens, bundle.student.views
    takes = {
        "tokens": f"tokens of {bundle.student.name}: {of['time']} x {of['space']} of {of['dim']}",
        "pictures": f"pictures, as {bundle.student.name} is fed; its weights are inside",
    }
    facts = {
        "takes": f"{takes[bundle.entry]}, {views} view{'s' if views > 1 else ''} of a clip",
        "gives": f"the chances of {len(names)} classes",
        "classes": ", ".join(names),
        **_preprocessing(bundle),
    }
    return [
        Paragraph(
            f"A classifier of video clips. {bundle.student.name} looks at a clip; converters "
            f"translate what it sees into the feature spaces of {teachers}, and a fusion head "
            f"names the class. {bundle.student.name} is the only backbone that runs."
        ),
        Paragraph(page.sentence(proof)),
        Facts(facts),
    ]


def _preprocessing(bundle: Bundle) -> dict[str, str]:
    """Say what pictures the student is fed, as far as the store recorded it."""
    given = bundle.student.inputs
    shown = ("kind", "frames", "height", "width", "short_side", "scale", "mean", "std")
    parts = [f"{name.replace('_', ' ')} {_plain(given[name])}" for name in shown if given.get(name)]
    return {"preprocessing": ", ".join(parts)} if parts else {}


def _plain(value: JsonValue) -> str:
    """Write a setting; lists and numbers as a person would."""
    if isinstance(value, list):
        return " ".join(_plain(part) for part in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _data(bundle: Bundle, proof: Proof, evaluation: Evaluation | None) -> Facts:
    trained = bundle.provenance.fusion
    groups = limits.groups(proof, evaluation)
    from_groups = f" from {groups} groups" if groups else ""
    given = {"data set": proof.dataset}
    if trained.split:
        given["trained on"] = (
            f"{trained.dataset}, {trained.split} split; features {trained.fingerprint[:12]}"
        )
    given["held out"] = (
        f"{proof.split} split: {proof.clips} clips{from_groups}; features {proof.fingerprint[:12]}"
    )
    return Facts(given)


def _backbones(bundle: Bundle, spdx: str | None) -> list[Block]:
    inside = bundle.entry == "pictures"
    rows = [
        (
            name,
            "student" if name == bundle.student.name else "teacher",
            weights.source,
            licence(weights.model_dump()).words,
            _learnt_from(weights),
        )
        for name, weights in bundle.weights.items()
    ]
    holds = f"the weights of {bundle.student.name}, " if inside else ""
    said = f"puts what was trained under {spdx}" if spdx else "has declared no licence for it"
    return [
        Table(("backbone", "role", "weights", "licence", "trained on"), rows, text=5),
        Paragraph(
            f"This bundle holds {holds}the converters and the fusion head; the other weights are "
            f"not in it. Whoever trained it {said}; what the licences above ask of it is theirs to "
            f"settle before it is passed on."
        ),
    ]


def _learnt_from(weights: WeightsRecord) -> str:
    known = trained_on(weights.model_dump())
    if known is None:
        return "unknown"
    return ", ".join(dict.fromkeys(f"{one.dataset} ({one.how})" for one in known)) or "nothing"


def _metrics(bundle: Bundle, evaluation: Evaluation | None) -> list[Block]:
    if evaluation is None:
        return [
            Paragraph(
                "No evaluation was given to this export: how the model compares with its student "
                "alone, and with controls, is not known here. The proof below has its accuracy."
            )
        ]
    compared = evaluation.comparison
    names = dict.fromkeys([compared.method, *(c.baseline for c in evaluation.comparisons)])
    head = ("method", "top-1", "interval", "top-5", "class mean", "ECE")
    return [
        Paragraph(f"{_whose(evaluation)} {findings.answer(evaluation)}"),
        Table(head, [_row(evaluation.method(name)) for name in names], marked=0),
        Paragraph(
            f"{findings.scale(evaluation)} Intervals: {evaluation.interval}. "
            f"{words.basis(evaluation)}."
        ),
    ]


def _whose(evaluation: Evaluation) -> str:
    """Say which models the figures are of: this one, before export, or it and its repeats."""
    own = evaluation.method(evaluation.comparison.method)
    if own.seeds == 1:
        return "Of the trained model, before export."
    return (
        f"Means over {own.seeds} trainings, which differ in their random numbers alone; the model "
        f"that was exported is the first of them, with a top-1 of "
        f"{words.percent(own.top1_by_seed[0])}."
    )


def _row(method: Method) -> tuple[str, ...]:
    return (
        words.method(method.name),
        words.percent(method.top1.value),
        words.interval(method.top1),
        words.percent(method.top5.value),
        words.percent(method.mean_class),
        words.decimal(method.ece),
    )


def _proof(proof: Proof) -> list[Block]:
    return [
        Heading("Model size comparison"),
        *tables.sizes(proof),
        Heading("Inference performance"),
        *tables.times(proof),
        Heading("Accuracy impact"),
        *tables.accuracy(proof),
        Heading("Clips whose class changed"),
        *page.changed(proof),
    ]


def _compute(proof: Proof) -> Paragraph:
    return Paragraph(
        f"Where it was proved it computes in {proof.compute.export}: {proof.compute.reason}. "
        f"What a device computes in is chosen when the bundle is loaded."
    )

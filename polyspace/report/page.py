"""The report: one page that says what was asked, what was found and how sure that is."""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from string import Template

from polyspace.files import write_atomically
from polyspace.report import findings, records, sections, words
from polyspace.report.markup import Html, element, join
from polyspace.report.parts import Section, paragraph
from polyspace.report.records import Evaluation, Proof


def write(
    evaluation: Path,
    *,
    converter_curves: Path,
    fusion_curves: Path,
    proof: Path,
    sizes: Mapping[str, int],
    out: Path,
) -> Path:
    """Compose the page; it needs no network, no scripts and no other file.

    Args:
        evaluation: evaluation.json; vectors.npz lies beside it.
        converter_curves: curves.json of the converters.
        fusion_curves: curves.json of the fusion head.
        proof: proof.json of the exported bundle.
        sizes: Bytes on disk by what the store holds, in words for the page.
        out: The page's file.

    Returns:
        `out`.

    Raises:
        RecordError: A record is missing, or of another schema.
    """
    read = records.read_evaluation(evaluation)
    proved = records.read_proof(proof)
    vectors = records.read_vectors(evaluation.with_name("vectors.npz"), read.teachers)
    converters, head = records.read_curves(converter_curves), records.read_curves(fusion_curves)
    parts = [
        sections.methods(read),
        sections.coverage(read),
        sections.classes(read),
        sections.translation(read, vectors),
        sections.opening(read),
        sections.training(converters, head, read),
        sections.export(proved, sizes, read),
        sections.provenance(read),
    ]
    page = _page(_title(read), join(_head(read, proved), _navigation(parts), _all(parts)))
    write_atomically(out, lambda file: file.write(page.encode()))
    return out


def _title(evaluation: Evaluation) -> str:
    return f"PolySpace: {evaluation.student} on {evaluation.dataset.name}"


def _head(evaluation: Evaluation, proof: Proof) -> Html:
    of = evaluation.dataset
    over = f"{of.split} split · {evaluation.device} · {words.moment(evaluation.created)}"
    banners = [paragraph(text, "banner") for text in findings.warnings(evaluation)]
    return join(
        element("h1", _title(evaluation)),
        paragraph(over, "over"),
        *banners,
        _answer(evaluation, proof),
    )


def _answer(evaluation: Evaluation, proof: Proof) -> Html:
    question = (
        f"Does it help to fuse what {evaluation.student} sees with its own translations into "
        f"{words.listed(evaluation.teachers)}?"
    )
    return element(
        "div",
        paragraph(question, "question"),
        paragraph(words.unbroken(findings.answer(evaluation)), "said"),
        element("div", *_cards(evaluation, proof), class_="cards"),
        class_=f"answer {findings.verdict(evaluation)}",
    )


def _cards(evaluation: Evaluation, proof: Proof) -> list[Html]:
    compared = evaluation.comparison
    own, other = evaluation.method(compared.method), evaluation.method(compared.baseline)
    given = {
        f"{words.method(own.name)}, top-1": words.percent(own.top1.value),
        f"{words.method(other.name)} alone": words.percent(other.top1.value),
        f"points {words.signed_interval(compared.difference)}": words.points(
            compared.difference.value
        ),
        "chance": words.percent(evaluation.chance),
        "clips evaluated": words.percent(evaluation.coverage.share),
        "bundle, of float32": words.percent(proof.ratio),
    }
    return [
        element("div", element("b", value), element("span", words.unbroken(name)), class_="card")
        for name, value in given.items()
    ]


def _navigation(parts: list[Section]) -> Html:
    return element("nav", *(element("a", p.title, href=f"#{p.anchor}") for p in parts))


def _all(parts: list[Section]) -> Html:
    return join(*(part.html() for part in parts))


def _page(title: str, body: Html) -> str:
    files = resources.files("polyspace.report")
    shell = Template((files / "report.html").read_text())
    return shell.substitute(title=join(title), style=(files / "report.css").read_text(), body=body)

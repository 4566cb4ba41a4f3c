"""Which classes are recognised, what they are taken for, and how sure of it the fusion is."""

from polyspace.report import words
from polyspace.report.blocks import Block, Heading, Paragraph, Picture, Section, Table
from polyspace.report.figures import confusion, per_class, reliability
from polyspace.report.records.evaluation import Evaluation
from polyspace.report.records.methods import Method

MISTAKES = 12
"""Confusions that are listed at most."""


def section(evaluation: Evaluation) -> Section:
    """Show the confusion matrix, the commonest mistakes, and gains and losses class by class."""
    compared, names = evaluation.comparison, evaluation.dataset.class_names
    own = evaluation.method(compared.method)
    pair = f"{words.method(compared.method)} and {words.method(compared.baseline)}"
    blocks: list[Block] = [
        Picture(
            "confusion",
            confusion.draw(own.confusion, names),
            f"Confusion matrix of {words.method(own.name)}, in percent of each true class; of the "
            f"model under test. {words.basis(evaluation)}.",
            "Confusion matrix",
        ),
        Heading("Most frequent mistakes"),
        _mistakes(own, names),
        Heading(f"Class by class: {pair}"),
        Picture(
            "per_class",
            per_class.draw(evaluation),
            f"Accuracy within each class, sorted by the difference; {shown(evaluation)}. "
            f"{words.basis(evaluation)}.",
            f"Accuracy by class of {pair}",
        ),
    ]
    return Section("classes", "Classes", blocks)


def calibration(evaluation: Evaluation) -> Section:
    """Show whether chances mean what they say."""
    compared = evaluation.comparison
    own, other = evaluation.method(compared.method), evaluation.method(compared.baseline)
    caption = (
        "Reliability curve: of all clips that a method was so sure of, how many were right; on the "
        "dashed line chances mean what they say. Bars: where the clips are. ECE "
        f"{words.decimal(own.ece)} ({words.method(own.name)}) and {words.decimal(other.ece)} "
        f"({words.method(other.name)}). {words.basis(evaluation)}."
    )
    drawn = reliability.draw(own, other)
    return Section(
        "calibration",
        "Calibration",
        [
            Picture("reliability", drawn, caption, "Reliability curves"),
            Table(("method", "ECE", "log loss", "Brier score"), [_sure(own), _sure(other)]),
        ],
    )


def _sure(method: Method) -> tuple[str, ...]:
    figures = (method.ece, method.log_loss, method.brier)
    return words.method(method.name), *map(words.decimal, figures)


def shown(evaluation: Evaluation) -> str:
    """Say which of the classes a picture of classes has."""
    count = len(evaluation.dataset.class_names)
    if count <= per_class.SHOWN:
        return f"all {count} classes"
    half = per_class.SHOWN // 2
    return f"of {count} classes the {half} lowest and the {half} highest"


def _mistakes(method: Method, names: tuple[str, ...]) -> Block:
    """List the cells beside the diagonal that hold the most clips."""
    counts = [
        (count, names[true], names[said], count / sum(row))
        for true, row in enumerate(method.confusion)
        for said, count in enumerate(row)
        if count and said != true
    ]
    most = sorted(counts, key=lambda cell: -cell[0])[:MISTAKES]
    rows = [(true, said, str(count), words.percent(share)) for count, true, said, share in most]
    if not rows:
        return Paragraph("None: every clip was recognised.")
    return Table(("true", "taken for", "clips", "of the class"), rows, text=2)

"""Every method, what it stands for, and how sure its distance from the fusion is."""

from polyspace.report import findings, words
from polyspace.report.blocks import Block, Inline, Noted, Paragraph, Picture, Section, Table
from polyspace.report.figures import canvas, differences, intervals
from polyspace.report.records.evaluation import Evaluation
from polyspace.report.records.methods import Comparison, Method


def section(evaluation: Evaluation) -> Section:
    """Give all rows of the table, then the paired comparisons."""
    caption = (
        f"Top-1 accuracy and its interval ({evaluation.interval}); small dots: single seeds; "
        f"dashed: chance. {words.basis(evaluation)}."
    )
    return Section(
        "methods",
        "All methods",
        [
            Paragraph(findings.scale(evaluation)),
            Picture("methods", intervals.draw(evaluation), caption, "Accuracies with intervals"),
            _table(evaluation),
            Paragraph(
                "Figures are means over the seeds; rows that are there for scale are trained once. "
                "Covered: clips that could not be read count as wrong. Class mean: every class "
                "counts the same. ECE: expected calibration error. Parameters: everything that "
                "runs after the student.",
                quiet=True,
            ),
        ],
    )


def comparisons(evaluation: Evaluation) -> Section:
    """Compare the fusion, clip by clip, with everything else that runs without teachers."""
    caption = (
        f"How far the fusion is ahead in top-1, with its interval ({evaluation.interval}); right "
        f"of the line the fusion is better. {words.basis(evaluation)}."
    )
    blocks: list[Block] = [
        Paragraph(findings.controls(evaluation)),
        Picture("comparisons", differences.draw(evaluation), caption, "Differences to the fusion"),
        Table(
            ("the fusion against", "points", "interval", "p", "p, corrected", "McNemar"),
            [_compared(compared) for compared in evaluation.comparisons],
        ),
        Paragraph(
            "Differences are paired, clip by clip and seed by seed. p: two-sided, from the same "
            "resamples as the interval; corrected by Holm's procedure for the number of "
            "comparisons. McNemar's exact test is of the first seed alone and takes clips to be "
            "independent, which clips of one group are not.",
            quiet=True,
        ),
    ]
    return Section("comparisons", "Against controls", blocks)


def _table(evaluation: Evaluation) -> Table:
    head = ("method", "top-1", "interval", "top-5", "covered", "class mean", "ECE", "seeds")
    rows = sorted(evaluation.methods, key=lambda method: -method.top1.value)
    own = [row.name for row in rows].index(evaluation.comparison.method)
    return Table((*head, "parameters"), [_row(row) for row in rows], marked=own)


def _row(method: Method) -> tuple[Inline, ...]:
    return (
        Noted(
            words.method(method.name), f"{method.kind}: {method.words}", canvas.KINDS[method.kind]
        ),
        words.percent(method.top1.value),
        words.interval(method.top1),
        words.percent(method.top5.value),
        words.percent(method.covered_top1),
        words.percent(method.mean_class),
        words.decimal(method.ece),
        str(method.seeds),
        f"{method.parameters:,}",
    )


def _compared(compared: Comparison) -> tuple[str, ...]:
    return (
        words.method(compared.baseline),
        words.points(compared.difference.value),
        words.signed_interval(compared.difference),
        words.probability(compared.p),
        words.probability(compared.adjusted_p),
        words.probability(compared.mcnemar_p),
    )

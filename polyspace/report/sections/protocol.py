"""Which clips the figures speak of, and what could make them wrong."""

from polyspace.data.quarantine import count_reasons, split_note
from polyspace.report import findings, words
from polyspace.report.blocks import (
    Block,
    Code,
    Facts,
    Folded,
    Heading,
    Paragraph,
    Section,
    Table,
)
from polyspace.report.records.evaluation import Evaluation
from polyspace.report.records.looks import Looks

LISTED = 12
"""Quarantined clips up to which their list is unfolded."""


def section(evaluation: Evaluation, looks: Looks) -> Section:
    """Say what was checked, what is missing, and which clips could not be read."""
    blocks: list[Block] = [
        Facts(_checks(evaluation, looks)),
        *_contamination(evaluation),
        Heading("Coverage"),
        Paragraph(findings.coverage(evaluation)),
        *_quarantined(evaluation),
    ]
    if evaluation.gaps:
        gaps = [(words.method(name), why) for name, why in evaluation.gaps.items()]
        blocks += [Heading("Not measured"), Table(("what", "why"), gaps, text=2)]
    return Section("protocol", "Protocol and coverage", blocks)


def _checks(evaluation: Evaluation, looks: Looks) -> dict[str, str]:
    """Say what was looked at, and what was found."""
    shared, views = evaluation.overlap, evaluation.views
    own = evaluation.method(evaluation.comparison.method).label_order
    return {
        "selection": "epochs and settings on groups held out of the training split",
        "test split": looks.words,
        "views": f"{views} of each clip, chances averaged" if views > 1 else "one of each clip",
        "shared with training": f"{shared.groups} groups, {shared.ids} clips by name, "
        f"{shared.features} by what every backbone sees in them",
        "order of labels": "looks wrong: see above"
        if own.alarm
        else "no other order of the classes fits better",
        "random weights": ", ".join(evaluation.random_weights) or "none",
    }


def _contamination(evaluation: Evaluation) -> list[Block]:
    flags = evaluation.contamination
    if not flags:
        of = evaluation.dataset.name
        return [Paragraph(f"No backbone's weights are known to have been trained on {of}.")]
    rows = [(flag.backbone, flag.words, flag.source) for flag in flags]
    return [Heading("What weights were trained on"), Table(("backbone", "", "source"), rows, 3)]


def _quarantined(evaluation: Evaluation) -> list[Block]:
    notes = evaluation.coverage.quarantined
    if not notes:
        return []
    counts = [(why, str(count)) for why, count in count_reasons(notes.values()).items()]
    rows = [(Code(name), *split_note(text)) for name, text in notes.items()]
    listed: Block = Table(("clip", "reason", "found"), rows, text=3)
    if len(notes) > LISTED:
        listed = Folded(f"All {len(notes)} quarantined clips", [listed])
    return [Table(("reason", "clips"), counts), listed]

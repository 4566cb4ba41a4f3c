"""How training went."""

from polyspace.report import words
from polyspace.report.blocks import Block, Heading, Picture, Section
from polyspace.report.figures import curves
from polyspace.report.records.evaluation import Evaluation
from polyspace.report.records.training import Curves


def section(evaluation: Evaluation, converters: Curves | None, head: Curves | None) -> Section:
    """Show the curves that are there."""
    blocks: list[Block] = []
    if converters:
        blocks += [Heading("Converters"), _converters(evaluation, converters)]
    if head:
        blocks += [Heading("Fusion"), _fusion(evaluation, head)]
    return Section("training", "Training", blocks)


def _converters(evaluation: Evaluation, found: Curves) -> Picture:
    drawn = curves.converters(found, evaluation.teachers, together=evaluation.trunk > 0)
    caption = (
        "Losses, and the variance explained on the hold-out, a part of the training split. "
        f"The dots are the epochs that were kept. n = {_epochs(found)} epochs; "
        f"{words.origin(evaluation)}."
    )
    return Picture("training_converters", drawn, caption, "Training curves of the converters")


def _fusion(evaluation: Evaluation, found: Curves) -> Picture:
    caption = (
        "Cross-entropy and accuracy; the hold-out is a part of the training split. The dot is the "
        f"epoch that was kept. n = {_epochs(found)} epochs; {words.origin(evaluation)}."
    )
    drawn = curves.fusion(found, evaluation.chance)
    return Picture("training_fusion", drawn, caption, "Training curves of the fusion")


def _epochs(training: Curves) -> int:
    return max((int(epoch["epoch"]) for epoch in training.epochs), default=0)

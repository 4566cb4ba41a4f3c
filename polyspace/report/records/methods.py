"""Rows of the table, and how they compare."""

from typing import Literal

from polyspace.report.records.record import Estimate, Record, Share


class Bin(Record):
    """A part of a reliability curve: the clips of like confidence."""

    low: float
    high: float
    clips: int
    confidence: Share
    """Mean; NaN where there are no clips, here and in the accuracy."""
    accuracy: Share


class LabelOrder(Record):
    """Whether the classes would fit better under other names."""

    accuracy: float
    held_out: float
    """Under the best renaming of the classes, on clips that it was not chosen on."""
    alarm: bool


class Method(Record):
    """A row of the table; figures are means over its seeds, tables those of the first."""

    name: str
    kind: Literal["method", "baseline", "control", "upper bound"]
    words: str
    parameters: int
    seeds: int
    top1: Estimate
    top1_by_seed: tuple[float, ...]
    top5: Estimate
    mean_class: float
    covered_top1: float
    per_class: tuple[Share, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Clips by true class (rows) and predicted class (columns)."""
    ece: float
    log_loss: float
    """Mean of -log p of the true class, in nats."""
    brier: float
    """Over all classes: 0 is certain and right, 2 certain and wrong."""
    reliability: tuple[Bin, ...]
    label_order: LabelOrder


class Comparison(Record):
    """Two methods on the same clips."""

    method: str
    baseline: str
    difference: Estimate
    p: float
    """Two-sided, of no difference, by the bootstrap."""
    adjusted_p: float
    """By Holm's procedure, for the number of comparisons."""
    mcnemar_p: float
    """Of the first seed's models; it takes clips to be independent."""


class Gate(Record):
    """How far a teacher's gate was open; 0 is shut, 1 is open."""

    mean: float
    per_time: tuple[float, ...]
    per_class: tuple[Share, ...]

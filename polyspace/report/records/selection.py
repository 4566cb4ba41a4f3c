"""The record of a selection: what was wanted, what was measured, and which checkpoint won."""

from pathlib import Path
from typing import Literal

from polyspace.report.records.record import Record, read

NAME = "selection_metadata.json"


class Term(Record):
    """A part of the score."""

    metric: str
    direction: Literal["up", "down"]
    weight: float = 1.0


class Bound(Record):
    """What a metric has to be."""

    metric: str
    op: Literal["<", "<=", ">", ">="]
    limit: float


class Policy(Record):
    """How the checkpoint was chosen."""

    name: str
    objective: tuple[Term, ...]
    constraints: tuple[Bound, ...]
    targets: tuple[Bound, ...]
    tie_break: tuple[Term, ...]
    on_missed_target: str
    on_none_pass: str


class Judged(Bound):
    """A condition, and whether a checkpoint fulfils it."""

    value: float
    met: bool


class Score(Record):
    """What a checkpoint came to."""

    composite_score: float
    passes_hard_constraints: bool


class Candidate(Record):
    """One checkpoint."""

    path: str
    """Where it was found."""
    sha256: str
    step: int
    epoch: int | None
    metrics: dict[str, float]
    """Those of the table."""
    derived: dict[str, float]
    """What follows from them."""
    improvements: dict[str, float]
    """Of the objective over `improvements_over`; positive is better."""
    improvements_over: str
    score: Score
    constraints: tuple[Judged, ...]
    targets: tuple[Judged, ...]
    total_violation: float
    """Sum of how far it is beyond its limits, each as a share of the limit."""

    @property
    def values(self) -> dict[str, float]:
        """Give all metrics."""
        return self.metrics | self.derived

    @property
    def passes(self) -> bool:
        """Say whether it fulfils every constraint."""
        return self.score.passes_hard_constraints


class Variation(Record):
    """Who wins where one weight is another."""

    metric: str
    factor: float
    """Of the weight."""
    step: int
    """Of the winner."""
    changed: bool
    lead: float | None
    """How far its score is ahead of the next one that may win; null if there is no other."""


class Front(Record):
    """Checkpoints that none other beats in both of two metrics."""

    metrics: tuple[str, str]
    directions: tuple[Literal["up", "down"], Literal["up", "down"]]
    steps: tuple[int, ...]


class ExportInfo(Record):
    """How the selection was made."""

    timestamp: str
    selection_criteria: str
    weights: dict[str, float]


class TableInfo(Record):
    """The table of metrics."""

    path: str
    sha256: str
    rows: int


class Selection(Record):
    """selection_metadata.json."""

    version: int
    export_info: ExportInfo
    policy: Policy
    metrics_table: TableInfo
    published: str
    """Name of the chosen checkpoint's file beside the record."""
    best_checkpoint: Candidate
    all_checkpoints: tuple[Candidate, ...]
    """By step."""
    unmeasured: tuple[str, ...]
    """Checkpoints that no row was of, so that they could not be chosen."""
    pareto: Front | None
    sensitivity: tuple[Variation, ...]


def read_selection(folder: Path) -> Selection:
    """Read the record of a selection's folder.

    Raises:
        RecordError: It isn't there, or isn't one.
    """
    return read(folder / NAME, Selection)

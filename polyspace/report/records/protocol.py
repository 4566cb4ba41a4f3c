"""Which clips figures speak of, and what could make them wrong."""

from typing import Literal

from polyspace.report.records.record import Record


class Dataset(Record):
    """What was evaluated on."""

    name: str
    split: str
    class_names: tuple[str, ...]
    clips: int
    groups: int
    fingerprint: str
    train_fingerprint: str


class Coverage(Record):
    """Which clips of the split could be read."""

    clips: int
    evaluated: int
    share: float
    quarantined: dict[str, str]
    """Reasons by clip."""
    unlabelled: int
    """Clips that were left out at import, for want of a label."""


class Contamination(Record):
    """A backbone whose weights were trained on the data set, or may have been."""

    backbone: str
    level: Literal["labels", "videos", "classifier", "overlap", "unknown"]
    trained_on: str | None
    source: str
    words: str


class Overlap(Record):
    """What the test split shares with the training split; there should be nothing."""

    groups: int
    ids: int
    features: int
    """Test clips in which every backbone sees what it sees in some training clip."""
    examples: tuple[str, ...]

"""The record of an ablation: every variation beside the base, as checked values."""

from typing import Annotated

from pydantic import Field

from polyspace.config import Config

SURE = 0.05
"""Corrected p-values below it are marked."""


class Estimate(Config):
    """A share of one and its 95 % interval."""

    value: float
    low: float
    high: float


class Difference(Estimate):
    """A difference of two shares, paired by clip and seed."""

    p: Annotated[float, Field(ge=0, le=1)]
    """Two-sided, uncorrected."""


class Row(Config):
    """A variation, or the student alone."""

    name: str
    group: str
    is_student: bool
    """Whether it is the student alone, without teachers."""
    changed: dict[str, str]
    """What differs from the base, by the name of the setting."""
    gap: str
    """Why there is nothing of it; empty where there is."""
    top1: Estimate | None
    seeds: tuple[float, ...]
    """Top-1 of each seed."""
    to_base: Difference | None
    holm_p: float | None
    """p of the difference to the base, corrected for the number of differences."""
    over_student: Difference | None
    r2: dict[str, float]
    """Of the converters on the hold-out, by teacher."""
    held_top1: float | None
    parameters: int | None
    seconds: float | None
    """Of training, one seed."""

    @property
    def is_sure(self) -> bool:
        """Tell whether it differs from the base beyond chance, corrected for all rows."""
        return self.holm_p is not None and self.holm_p < SURE


class Ablation(Config):
    """Everything that an ablation came to."""

    version: int = 1
    created: str
    command: str
    device: str
    versions: dict[str, str]
    dataset: str
    split: str
    clips: int
    """Clips that were scored."""
    coverage: int
    """Clips that the split has."""
    groups: int
    """Groups (source videos) that they are of."""
    looks: int
    """Looks at the split: one for each trained model, and for each teacher hidden."""
    chance: float
    student: str
    teachers: tuple[str, ...]
    seeds: tuple[int, ...]
    resamples: int
    fingerprint: str
    """Of the test store."""
    train_fingerprint: str
    base: dict[str, str]
    """The settings of the base that variations change."""
    rows: tuple[Row, ...]
    """The base first."""

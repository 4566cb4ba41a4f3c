"""The small values of tracking: where runs are recorded, and what is known of other people's."""

from collections.abc import Mapping
from dataclasses import dataclass


class PrunedError(Exception):
    """A run that is ended before its end because others do better; no failure."""


@dataclass(frozen=True)
class Tracker:
    """Where runs are recorded; a small value that may be handed to tasks, threads and processes."""

    enabled: bool = True
    parent_id: str | None = None
    """The run that others nest under; None: they stand on their own."""


ALONE = Tracker()
"""Runs that stand on their own."""


@dataclass(frozen=True)
class Other:
    """What is known of a run that somebody else wrote."""

    tags: Mapping[str, str]
    is_deleted: bool


@dataclass(frozen=True)
class Told:
    """A run as MLflow tells of it."""

    run_id: str
    name: str
    status: str
    """FINISHED, RUNNING, FAILED, KILLED or SCHEDULED."""
    is_deleted: bool
    metrics: Mapping[str, float]
    """The last value of each."""

    def __str__(self) -> str:
        """Name it as people and programs know it."""
        return f"{self.name} ({self.run_id})"

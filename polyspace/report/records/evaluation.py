"""The record of an evaluation."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from polyspace.errors import RecordError
from polyspace.report.records.atlas import Atlas
from polyspace.report.records.inference import Cost, Shown
from polyspace.report.records.methods import Comparison, Gate, Method
from polyspace.report.records.protocol import Contamination, Coverage, Dataset, Overlap
from polyspace.report.records.record import Record, read
from polyspace.report.records.translation import Agreement, Recovery, Retrieval


class Evaluation(Record):
    """evaluation.json: every method, scored once on the test split."""

    schema_version: Annotated[Literal[2], Field(alias="schema")]
    command: str
    created: datetime
    device: str
    views: int = 1
    """Of every clip, whose chances were averaged."""
    versions: dict[str, str]
    seed: int
    seeds: tuple[int, ...]
    """Of the trainings."""
    seconds: float
    dataset: Dataset
    chance: float
    majority: float
    coverage: Coverage
    random_weights: tuple[str, ...]
    student: str
    teachers: tuple[str, ...]
    trunk: int = 0
    """Width of the trunk that the converters share; 0: none."""
    methods: tuple[Method, ...]
    comparisons: Annotated[tuple[Comparison, ...], Field(min_length=1)]
    """The method with everything else that needs no teacher; the student is the first."""
    translation: dict[str, dict[str, Agreement]]
    """By teacher and converter."""
    retrieval: dict[str, Retrieval]
    """By teacher."""
    recovery: dict[str, Recovery]
    """By teacher whose checkpoint has a classifier of its own."""
    atlas: Atlas | None
    """None where it couldn't be measured; the gaps say why. So are the next two."""
    cost: Cost | None
    shown: tuple[Shown, ...]
    """Clips worth looking at."""
    gates: dict[str, Gate]
    """By teacher."""
    overlap: Overlap
    contamination: tuple[Contamination, ...]
    interval: str
    """How the intervals were made."""
    gaps: dict[str, str]
    """What could not be measured, and why."""

    @property
    def comparison(self) -> Comparison:
        """Give the one that answers the question: the method with the student alone."""
        return self.comparisons[0]

    def method(self, name: str) -> Method:
        """Give the row of that name.

        Raises:
            RecordError: There is none.
        """
        for method in self.methods:
            if method.name == name:
                return method
        names = ", ".join(method.name for method in self.methods)
        raise RecordError(f"no method {name!r} in the evaluation: it has {names}; evaluate again")


def read_evaluation(path: Path) -> Evaluation:
    """Read evaluation.json.

    Raises:
        RecordError: It isn't there, or isn't one.
    """
    return read(path, Evaluation)

"""What several evaluations come to on the clips that all of them scored, clip by clip."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from polyspace.config import Config
from polyspace.errors import RecordError
from polyspace.metrics import intervals
from polyspace.metrics.intervals import Resampling
from polyspace.report.records.evaluation import Evaluation, read_evaluation
from polyspace.report.records.methods import Comparison
from polyspace.report.records.outcomes import Outcomes, read_outcomes
from polyspace.report.records.record import Estimate

RESAMPLES = 2000
SEED = 0
"""Of the bootstrap."""


@dataclass(frozen=True, eq=False)
class Run:
    """An evaluation, and what it said clip by clip."""

    name: str
    folder: Path
    evaluation: Evaluation
    said: Outcomes

    @classmethod
    def read(cls, name: str, folder: Path) -> "Run":
        """Read an evaluation's folder.

        Raises:
            RecordError: There is none.
        """
        found = read_evaluation(folder / "evaluation.json")
        return cls(name, folder, found, read_outcomes(folder / "outcomes.csv"))

    def hits(self, method: str, ids: Sequence[str]) -> Float64[ndarray, "seed clip"]:
        """Say for each training and each of some clips whether a method was right."""
        place = {name: row for row, name in enumerate(self.said.ids)}
        rows = np.array([place[name] for name in ids])
        return (self.said.named[method][:, rows] == self.said.labels[rows]).astype(np.float64)


class Standing(Config):
    """One run among others."""

    name: str
    folder: str
    student_name: str
    teachers: tuple[str, ...]
    fingerprint: str
    """Of its test store."""
    top1: Estimate
    student: Estimate
    """Of the student alone, in the same run."""
    ece: float
    parameters: int
    seeds: int
    difference: Comparison | None
    """To the first run; None of the first run itself."""


class Compared(Config):
    """What a comparison came to."""

    version: int = 1
    created: datetime
    dataset: str
    split: str
    clips: int
    left_out: int
    """Clips that not every run has evaluated."""
    groups: int
    fingerprints: tuple[str, ...]
    """Of the test stores, each once."""
    runs: tuple[Standing, ...]


def compare(runs: Sequence[Run]) -> Compared:
    """Compare the fusions of several evaluations on the clips that they share.

    Raises:
        RecordError: They are of different data sets or classes, call a clip's class by different
            names, or share no clips.
    """
    ids = _shared(runs)
    first = runs[0]
    of = first.evaluation.dataset
    groups = _groups(first, ids)
    everything = {name for run in runs for name in run.said.ids}
    differences = _differences(runs, ids, groups)
    return Compared(
        created=datetime.now(UTC).replace(microsecond=0),
        dataset=of.name,
        split=of.split,
        clips=len(ids),
        left_out=len(everything) - len(ids),
        groups=len(set(groups)),
        fingerprints=tuple(dict.fromkeys(run.evaluation.dataset.fingerprint for run in runs)),
        runs=tuple(
            _standing(run, ids, groups, difference)
            for run, difference in zip(runs, (None, *differences), strict=True)
        ),
    )


def _shared(runs: Sequence[Run]) -> list[str]:
    """Give the clips that all runs evaluated, in the first one's order."""
    first = runs[0]
    for run in runs[1:]:
        _refuse_others(first, run)
    common = set(first.said.ids).intersection(*(run.said.ids for run in runs[1:]))
    if not common:
        raise RecordError(
            f"{' and '.join(run.name for run in runs)} have no test clip in common: compare runs "
            f"that were evaluated on the same split"
        )
    ids = [name for name in first.said.ids if name in common]
    for run in runs[1:]:
        _refuse_other_labels(first, run, ids)
    return ids


def _refuse_others(first: Run, run: Run) -> None:
    mine, theirs = first.evaluation.dataset, run.evaluation.dataset
    for what in ("name", "class_names"):
        if getattr(mine, what) != getattr(theirs, what):
            raise RecordError(
                f"{first.name} is of {mine.name} with {len(mine.class_names)} classes, {run.name} "
                f"of {theirs.name} with {len(theirs.class_names)}: compare runs of one data set"
            )


def _refuse_other_labels(first: Run, run: Run, ids: Sequence[str]) -> None:
    mine, theirs = (dict(zip(r.said.ids, r.said.labels, strict=True)) for r in (first, run))
    other = [name for name in ids if mine[name] != theirs[name]]
    if other:
        raise RecordError(
            f"{len(other)} clips have another class in {run.name} than in {first.name}, first "
            f"{other[0]!r}: one of them was extracted with wrong labels"
        )


def _groups(run: Run, ids: Sequence[str]) -> tuple[str, ...]:
    known = dict(zip(run.said.ids, run.said.groups, strict=True))
    return tuple(known[name] for name in ids)


def _differences(
    runs: Sequence[Run], ids: Sequence[str], groups: tuple[str, ...]
) -> list[Comparison]:
    """Compare every run but the first with the first, each as the mean over its seeds."""
    drawn = _draw(groups, seeds=1)
    hits = [_own(run, ids).mean(axis=0) for run in runs]
    found = [drawn.difference(other, hits[0]) for other in hits[1:]]
    adjusted = intervals.holm([one.p for one in found])
    first = _own(runs[0], ids)[0] > 0
    return [
        Comparison(
            method=run.name,
            baseline=runs[0].name,
            difference=Estimate(value=one.value, low=one.low, high=one.high),
            p=one.p,
            adjusted_p=p,
            mcnemar_p=intervals.mcnemar(_own(run, ids)[0] > 0, first),
        )
        for run, one, p in zip(runs[1:], found, adjusted, strict=True)
    ]


def _own(run: Run, ids: Sequence[str]) -> Float64[ndarray, "seed clip"]:
    return run.hits(run.evaluation.comparison.method, ids)


def _standing(
    run: Run, ids: Sequence[str], groups: tuple[str, ...], difference: Comparison | None
) -> Standing:
    compared = run.evaluation.comparison
    own = run.evaluation.method(compared.method)
    return Standing(
        name=run.name,
        folder=str(run.folder),
        student_name=run.evaluation.student,
        teachers=run.evaluation.teachers,
        fingerprint=run.evaluation.dataset.fingerprint,
        top1=_estimate(run.hits(own.name, ids), groups),
        student=_estimate(run.hits(compared.baseline, ids), groups),
        ece=own.ece,
        parameters=own.parameters,
        seeds=own.seeds,
        difference=difference,
    )


def _estimate(hits: Float64[ndarray, "seed clip"], groups: tuple[str, ...]) -> Estimate:
    found = _draw(groups, seeds=len(hits)).estimate(hits)
    return Estimate(value=found.value, low=found.low, high=found.high)


def _draw(groups: tuple[str, ...], *, seeds: int) -> Resampling:
    random = np.random.default_rng(SEED)
    return Resampling.draw(groups, seeds=seeds, resamples=RESAMPLES, random=random)

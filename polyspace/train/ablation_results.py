"""What an ablation came to: every variation beside the base, clip by clip and seed by seed."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from polyspace.config import Config
from polyspace.errors import RecordError
from polyspace.metrics import classification
from polyspace.metrics.intervals import Difference, Estimate, Resampling, holm
from polyspace.train.ablation_score import CLIPS

ALONE = "student alone"
"""What a row without teachers is called."""


class Trained(Config):
    """One seed of a variation: what was trained, and where its scores lie."""

    seed: int
    score: str
    """The folder of its scores, in the ablation's own."""
    student: str
    """That of the student alone, under the same classifier and seed."""
    r2: dict[str, float]
    """Share of each teacher's variance that its converter explains on the hold-out."""
    held_top1: float
    """Of the fusion, on the hold-out: what selected its epoch."""
    seconds: float
    """Of training converters and fusion."""


class Entry(Config):
    """One variation, and what became of it."""

    name: str
    group: str
    changed: dict[str, str]
    gap: str = ""
    """Why it has no score; empty where it has one."""
    lists_student: bool = False
    """Whether its student alone is another one than the base's for people, so that it has a row."""
    trained: tuple[Trained, ...] = ()
    """By seed; all seeds, or there is a gap."""


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    name: str
    group: str
    changed: Mapping[str, str]
    is_student: bool = False
    """Whether it is the student alone, without teachers."""
    gap: str = ""
    top1: Estimate | None = None
    seeds: tuple[float, ...] = ()
    """Top-1 of each seed."""
    to_base: Difference | None = None
    """Less that of the base, paired by clip and seed; None of the base itself."""
    holm_p: float | None = None
    """The p-value of that, corrected for all differences of the table. Source: Holm (1979)."""
    over_student: Difference | None = None
    """Less that of the student alone, likewise; None of the student."""
    r2: Mapping[str, float] = field(default_factory=dict[str, float])
    """Mean over seeds, on the hold-out, by teacher, in the space that its normaliser makes."""
    held_top1: float | None = None
    """Mean over seeds, on the hold-out."""
    parameters: int | None = None
    seconds: float | None = None
    """Of training converters and fusion, mean over seeds."""


@dataclass(frozen=True, eq=False)
class Scores:
    """Hits of one model, or its student, for every seed."""

    hits: Float64[ndarray, "seed clip"]
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    parameters: int


def table(entries: Sequence[Entry], out: Path, *, resamples: int) -> tuple[Row, ...]:
    """Put everything beside the base, which comes first in `entries` and has scores.

    Groups and seeds are drawn once for all rows, so that rows differ by their hits alone.

    Args:
        entries: All variations, measured or not.
        out: The ablation's folder.
        resamples: How often groups and seeds are drawn.

    Raises:
        RecordError: Scores are missing, or of other clips than the base's.
        DatasetError: All clips are of one group.
    """
    base = scores(out, [run.score for run in entries[0].trained])
    drawn = Resampling.draw(
        base.groups, seeds=len(base.hits), resamples=resamples, random=np.random.default_rng(0)
    )
    rows = [row for entry in entries for row in _rows(entry, base, out, drawn)]
    return _corrected(rows)


def scores(out: Path, folders: Iterable[str]) -> Scores:
    """Read what the same setting said with every seed.

    Raises:
        RecordError: Scores are missing, or two seeds were scored on different clips.
    """
    found = [_read(out / folder) for folder in folders]
    for other in found[1:]:
        _refuse_other_clips(found[0], other)
    return replace(found[0], hits=np.concatenate([one.hits for one in found]))


def _read(folder: Path) -> Scores:
    try:
        with np.load(folder / CLIPS, allow_pickle=False) as file:
            ids, groups = (tuple(map(str, file[name])) for name in ("ids", "groups"))
            hits = classification.hits(file["logits"], file["labels"])
        record: dict[str, Any] = json.loads((folder / "scored.json").read_text())
    except (OSError, KeyError, ValueError) as error:
        raise RecordError(
            f"{folder}: no scores ({error}): run the ablation again, it makes what is missing"
        ) from error
    return Scores(hits[None].astype(np.float64), ids, groups, record["parameters"])


def _refuse_other_clips(one: Scores, other: Scores) -> None:
    if one.ids != other.ids:
        raise RecordError(
            f"{len(one.ids)} clips of the base and {len(other.ids)} others are not the same ones, "
            f"so that they can't be paired: give stores of the same clips"
        )


def _rows(entry: Entry, base: Scores, out: Path, drawn: Resampling) -> Iterator[Row]:
    """Give a variation's row, and that of its student alone where it has one of its own."""
    blank = Row(entry.name, entry.group, entry.changed, gap=entry.gap)
    if entry.gap:
        yield blank
        return
    own = scores(out, [run.score for run in entry.trained])
    student = scores(out, [run.student for run in entry.trained])
    yield replace(
        _scored(blank, own, base if entry.changed else None, drawn),
        over_student=_apart(own, student, drawn),
        r2={name: fmean(run.r2[name] for run in entry.trained) for name in entry.trained[0].r2},
        held_top1=fmean(run.held_top1 for run in entry.trained),
        seconds=fmean(run.seconds for run in entry.trained),
    )
    if entry.lists_student:
        name = f"{ALONE}, {entry.name}" if entry.changed else ALONE
        alone = replace(blank, name=name, is_student=True)
        yield _scored(alone, student, base, drawn)


def _scored(row: Row, own: Scores, base: Scores | None, drawn: Resampling) -> Row:
    return replace(
        row,
        top1=drawn.estimate(own.hits),
        seeds=tuple(map(float, own.hits.mean(axis=1))),
        to_base=None if base is None else _apart(own, base, drawn),
        parameters=own.parameters,
    )


def _apart(own: Scores, other: Scores, drawn: Resampling) -> Difference:
    _refuse_other_clips(other, own)
    return drawn.difference(own.hits, other.hits)


def _corrected(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Correct the differences to the base for their number."""
    corrected = iter(holm([row.to_base.p for row in rows if row.to_base]))
    return tuple(replace(row, holm_p=next(corrected)) if row.to_base else row for row in rows)

"""An evaluation under way: what is done in which order, and what becomes of what can't be."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import tyro
from pydantic import Field

from polyspace.config import Config
from polyspace.data.featurize import named_folder
from polyspace.errors import DatasetError, DivergedError, MetricError
from polyspace.metrics.calibration import softmax
from polyspace.metrics.retrieval import retrieve
from polyspace.models.backbones import contamination
from polyspace.progress import silently
from polyspace.train import (
    atlas,
    contenders,
    evidence,
    guard,
    projections,
    scoring,
    showcase,
    translation,
)
from polyspace.train.contenders import Contender
from polyspace.train.cost.measure import measure
from polyspace.train.probes import ProbeKind
from polyspace.train.recovery import Gap, recovery
from polyspace.train.scoring import Scored, Subject

Step = tuple[str, Callable[[], None]]
"""A part of the work, with its name."""


class AssessmentSettings(Config):
    """How thoroughly everything is assessed, and what it may look at besides features."""

    root: Path | None = None
    """Folder of the videos: without them costs leave decoding out, and no clip is shown."""
    weights: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """NAME=FOLDER of a backbone's weights, for its own classifier and its costs."""
    seeds: Annotated[int, Field(ge=1)] = 3
    """Seeds that the fusion and everything beside it are trained with; the first is the fusion's
    own, whose checkpoint is not trained again."""
    resamples: Annotated[int, Field(ge=100)] = 2000
    """Bootstrap resamples over groups."""
    umap: bool = False
    """Project the spaces by UMAP, too; needs polyspace[umap]."""
    seed: int = 0
    """Decides untrained converters and the bootstrap; what is trained counts up from the fusion's
    seed."""


class Assessment:
    """An evaluation under way: rows of the table, what was measured besides, and what couldn't be.

    A gap has its reason and stands in the report: nothing is left out silently.
    """

    def __init__(self, config: AssessmentSettings, subject: Subject) -> None:
        self.config, self.subject = config, subject
        self.scored: list[Scored] = []
        self.parts: dict[str, Any] = {"translation": {}, "recovery": {}, **_guarded(subject)}
        self.gaps: dict[str, str] = {}
        self.closed = translation.closed_form(subject.translator, subject.train, subject.fitted)

    def steps(self) -> Sequence[Step]:
        """Give what is to be done, in its order, by name."""
        return [
            *self._table(),
            *self._translations(),
            ("alignment", self._alignment),
            ("projections", self._projections),
            ("clips to show", self._showcase),
            ("costs", self._cost),
        ]

    def _table(self) -> Iterator[Step]:
        """Score the fusion first, then everything beside it."""
        subject = self.subject
        translator, spec = subject.translator, subject.fusion.spec
        yield "fitting fusion", partial(self._score, contenders.method(translator, spec))
        for entry in contenders.contenders(
            translator,
            spec,
            closed=self.closed,
            shapes={name: subject.test.shape(name) for name in spec.teachers},
            seed=self.config.seed,
        ):
            yield f"fitting {entry.name}", partial(self._score, entry)
        for backbone in subject.backbones:
            for kind in scoring.PROBES:
                yield f"fitting {kind}:{backbone}", partial(self._probe, kind, backbone)

    def _score(self, entry: Contender) -> None:
        own = self.subject.fusion if entry.kind == "method" else None
        try:
            self._add(scoring.score(entry, self.subject, seeds=self.config.seeds, first=own))
        except DivergedError as error:
            # Without a fusion and a student there is nothing to compare.
            if entry.name in ("fusion", "student"):
                raise
            self.gaps[entry.name] = str(error)

    def _add(self, row: Scored) -> None:
        """Take a row into the table, if it says something of every clip."""
        ids = [self.subject.test.ids[clip] for clip in self.subject.clips]
        for logits in row.logits:
            guard.refuse_undefined(row.name, logits, ids)
        self.scored.append(row)

    def _probe(self, kind: ProbeKind, backbone: str) -> None:
        try:
            self._add(scoring.probe(kind, backbone, self.subject))
        except DatasetError as error:
            self.gaps[f"{kind}:{backbone}"] = str(error)

    def _translations(self) -> Iterator[Step]:
        for teacher in self.subject.translator.specs:
            yield f"translation into {teacher}", partial(self._translation, teacher)
            yield f"own classifier of {teacher}", partial(self._recovery, teacher)

    def _translation(self, teacher: str) -> None:
        """Measure one teacher's converter beside the closed-form ones."""
        subject = self.subject
        try:
            measured = translation.quality(
                subject.translator, self.closed, teacher, subject.test, subject.rows
            )
        except MetricError as error:
            self.gaps[f"translation into {teacher}"] = str(error)
            return
        self.parts["translation"][teacher] = {
            kind: asdict(alignment) for kind, alignment in measured.items()
        }

    def _recovery(self, teacher: str) -> None:
        """Let a teacher's own classifier decide on true and on translated features."""
        subject, config = self.subject, self.config
        found = recovery(
            subject.translator,
            teacher,
            subject.test,
            subject.rows,
            weights=dict(map(named_folder, config.weights)),
            resamples=config.resamples,
            seed=config.seed,
        )
        if isinstance(found, Gap):
            self.gaps[f"own classifier of {teacher}"] = found.reason
        else:
            self.parts["recovery"][teacher] = asdict(found)

    def _alignment(self) -> None:
        """Compare all spaces with one another, and find translated clips among the true ones."""
        subject = self.subject
        self.vectors = translation.vectors(subject.translator, subject.test, subject.clips)
        self.parts |= {"atlas": None, "retrieval": {}}
        try:
            self.parts["atlas"] = asdict(atlas.measure(self.vectors, seed=self.config.seed))
            for teacher in self.subject.translator.specs:
                pair = self.vectors[f"translated:{teacher}"], self.vectors[teacher]
                self.parts["retrieval"][teacher] = asdict(retrieve(*pair))
        except MetricError as error:
            self.gaps["alignment"] = str(error)

    def _projections(self) -> None:
        """Lay all spaces out in the plane."""
        config = self.config
        self.projected = projections.project(
            self.vectors,
            self.subject.labels,
            student=self.subject.translator.student_name,
            teachers=tuple(self.subject.translator.specs),
            seed=config.seed,
            umap=config.umap,
        )

    def _showcase(self) -> None:
        """Look at the clips that the fusion was surest of, wrongly and rightly."""
        subject = self.subject
        chances = softmax(self.scored[0].logits[0])
        chosen = showcase.choose(chances, subject.labels, subject.groups)
        found = showcase.show(
            subject.model, subject.test, subject.clips, chances, chosen, root=self.config.root
        )
        self.parts["shown"] = [asdict(clip) for clip in found.shown]
        self.frames = found.frames

    def _cost(self) -> None:
        """Measure what inference takes on this machine."""
        subject, config = self.subject, self.config
        measuring = measure(subject.model, subject.test, root=config.root, weights=config.weights)
        self.parts["cost"] = asdict(silently(measuring))

    def write(self, out: Path, command: str, *, seconds: float) -> Path:
        """Write the record and what its pictures are drawn from."""
        config = self.config
        terms = evidence.Terms(command, config.resamples, config.seed, config.seeds)
        parts = {**self.parts, "gaps": self.gaps, "seconds": seconds}
        record = evidence.record(self.subject, self.scored, parts, terms)
        showcase.save(out / "frames.npz", self.frames)
        evidence.write_arrays(out / "projections.npz", self.projected)
        return evidence.write(out, record, self.subject, self.scored, self.vectors)


def _guarded(subject: Subject) -> dict[str, Any]:
    """Look for what would make every figure too high."""
    test = subject.test
    weights = {name: test.weights(name) for name in subject.backbones}
    flags = contamination.flags(weights, test.dataset, class_names=test.class_names)
    return {
        "overlap": asdict(guard.overlap(subject.train, test, subject.backbones)),
        "contamination": [asdict(flag) for flag in flags],
    }

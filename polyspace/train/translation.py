"""How good the translations are, beside the closed-form ones that any converter should beat."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from torch import Tensor

from polyspace.metrics import alignment
from polyspace.metrics.alignment import Alignment
from polyspace.models.converters import ConverterKind, Translator
from polyspace.models.heads.pooled import pool
from polyspace.models.normalizers import origin
from polyspace.train import fit
from polyspace.train.batches import Division, in_order
from polyspace.train.fusion_workload import Rows
from polyspace.train.sources import StoredClips

BASELINES: tuple[ConverterKind, ...] = ("mean", "procrustes", "ridge")
"""Closed-form kinds that stand beside every trained converter."""
LONGEST = 4096
"""Numbers of a clip's vector at most: all clips of a split stand in memory, in every space."""


def closed_form(
    translator: Translator, train: StoredClips, division: Division
) -> dict[ConverterKind, Translator]:
    """Solve for simple converters, on the rows that the trained ones were fitted on, by kind.

    They see the student's own tokens: a trunk is a part of what was trained.
    """
    solved: dict[ConverterKind, Translator] = {k: _simple(translator, k) for k in BASELINES}
    for teacher in translator.specs:
        moments = fit.moments(translator, teacher, train, division)
        for one in solved.values():
            converter = one[teacher].converter
            converter.teacher = translator[teacher].teacher
            converter.map.start_at(moments.solve(converter.spec))
    return solved


def _simple(translator: Translator, kind: ConverterKind) -> Translator:
    """Make converters of another kind between the same spaces."""
    specs = {
        name: spec.model_copy(update={"kind": kind, "trunk": 0})
        for name, spec in translator.specs.items()
    }
    simple = Translator(translator.student_name, specs).to(translator.student.mean.device)
    simple.student = translator.student
    return simple


@torch.no_grad()
def quality(
    translator: Translator,
    closed: Mapping[ConverterKind, Translator],
    teacher: str,
    test: StoredClips,
    rows: Rows,
) -> dict[str, Alignment]:
    """Measure a trained converter and the closed-form ones on the test split, by kind."""
    all_kinds = {**closed, translator[teacher].spec.kind: translator}
    return {kind: _measure(one, teacher, test, rows) for kind, one in all_kinds.items()}


@torch.no_grad()
def vectors(
    translator: Translator, clips: StoredClips, rows: Rows
) -> dict[str, Float32[ndarray, "clip _"]]:
    """Give a vector of each clip in every space: before, after, and what it should have become.

    Spaces are called by backbone, and ``translated:`` the teacher. With several views it is the
    first that is looked at.
    """
    parts: dict[str, list[ndarray]] = {}
    for some in in_order(rows, fit.BATCH):
        student = translator.student(clips.tokens(translator.student_name, some))
        found = {translator.student_name: student}
        for teacher, said in translator(student).items():
            found[f"translated:{teacher}"] = said
            found[teacher] = fit.target(translator[teacher], clips, teacher, some)
        for name, tokens in found.items():
            parts.setdefault(name, []).append(summary(tokens).float().cpu().numpy())
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def summary(
    tokens: Float[Tensor, "clip time space dim"],
) -> Float[Tensor, "clip vector"]:
    """Sum a clip up: each cell's mean and spread in time, or where that is long, the mean token."""
    cells = 2 * tokens.shape[2] * tokens.shape[3]
    return pool(tokens) if cells <= LONGEST else tokens.mean(dim=(1, 2))


def _measure(translator: Translator, teacher: str, clips: StoredClips, rows: Rows) -> Alignment:
    own = translator.eval()[teacher].teacher
    pairs = _pairs(translator, teacher, clips, rows)
    return alignment.measure(
        pairs,
        origin=origin(own),
        inverse=own.inverse,
        labels=clips.labels[rows],
        classes=len(clips.class_names),
    )


def _pairs(
    translator: Translator, teacher: str, clips: StoredClips, rows: Rows
) -> Iterator[alignment.Pair]:
    for part in in_order(rows, fit.BATCH):
        student = translator.student(clips.tokens(translator.student_name, part))
        yield translator[teacher](student), fit.target(translator[teacher], clips, teacher, part)

"""How good the translations are, beside the closed-form ones that any converter should beat."""

from collections.abc import Iterator

import torch

from polyspace.metrics import alignment
from polyspace.metrics.alignment import Alignment
from polyspace.models.converters import ConverterKind, Translator
from polyspace.models.normalizers import origin
from polyspace.train import fit
from polyspace.train.batches import Division, in_order
from polyspace.train.fusion_workload import Rows
from polyspace.train.sources import StoredClips

BASELINES: tuple[ConverterKind, ...] = ("mean", "procrustes", "ridge")
"""Closed-form kinds that stand beside every trained converter."""


@torch.no_grad()
def quality(
    translator: Translator,
    teacher: str,
    train: StoredClips,
    division: Division,
    test: StoredClips,
    rows: Rows,
) -> dict[str, Alignment]:
    """Measure the trained converter and the closed-form ones on the test split, by kind.

    The closed-form ones are solved again, on the rows that the trained one was fitted on, from the
    student's own tokens: a trunk is a part of what was trained.
    """
    moments = fit.moments(translator, teacher, train, division)
    spec = translator[teacher].spec
    said: dict[str, Alignment] = {}
    for kind in BASELINES:
        simple = spec.model_copy(update={"kind": kind, "trunk": 0})
        solved = Translator(translator.student_name, {teacher: simple})
        solved = solved.to(translator.student.mean.device)
        solved.student = translator.student
        converter = solved[teacher].converter
        converter.teacher = translator[teacher].teacher
        converter.map.start_at(moments.solve(simple))
        said[kind] = _measure(solved, teacher, test, rows)
    return {**said, spec.kind: _measure(translator, teacher, test, rows)}


def _measure(translator: Translator, teacher: str, clips: StoredClips, rows: Rows) -> Alignment:
    own = translator.eval()[teacher].teacher
    pairs = _pairs(translator, teacher, clips, rows)
    return alignment.measure(pairs, origin=origin(own), inverse=own.inverse)


def _pairs(
    translator: Translator, teacher: str, clips: StoredClips, rows: Rows
) -> Iterator[alignment.Pair]:
    for part in in_order(rows, fit.BATCH):
        student = translator.student(clips.tokens(translator.student_name, part))
        yield translator[teacher](student), fit.target(translator[teacher], clips, teacher, part)

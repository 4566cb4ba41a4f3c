"""The closed-form start of converters: normalizers fitted, maps solved, on training clips."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from jaxtyping import Float, Float32, Int64
from numpy import ndarray
from torch import Tensor

from polyspace.models import closed_form, normalizers
from polyspace.models.closed_form import Affine, Moments, Pair
from polyspace.models.converters import ConverterKind, ConverterSpec, Route, Translator
from polyspace.models.normalizers import Standardizer, measure
from polyspace.train.batches import Division, in_order
from polyspace.train.sources import StoredClips

ALONE: Mapping[ConverterKind, Callable[[Moments], Affine]] = {
    "mean": closed_form.mean,
    "procrustes": closed_form.procrustes,
    "orthogonal": closed_form.orthogonal,
    "ols": closed_form.ols,
}
"""Kinds that choose nothing, and so need no held-out clips."""

BATCH = 64
"""Clips that are in memory at a time."""


@dataclass(frozen=True, eq=False)
class Fit:
    """Moments of one converter's inputs and targets, on both parts of the training split."""

    fit: Moments
    held: Moments

    def solve(self, spec: ConverterSpec) -> Affine:
        """Solve for a map; kinds that are trained start at ridge."""
        if spec.kind in ALONE:
            return ALONE[spec.kind](self.fit)
        if spec.kind == "low_rank":
            return closed_form.low_rank(self.fit, self.held, rank=spec.rank)
        return closed_form.ridge(self.fit, self.held)


def standardizer(clips: StoredClips, backbone: str, rows: Int64[ndarray, " row"]) -> Standardizer:
    """Measure a backbone's tokens on some rows."""
    return Standardizer.of(measure(_tokens(clips, backbone, rows)))


def start(
    translator: Translator,
    clips: StoredClips,
    division: Division,
    *,
    shrinkage: float = normalizers.SHRINKAGE,
) -> None:
    """Fit all normalizers and solve every converter's map.

    Maps are solved for the student's own tokens: a trunk that is still untrained changes nothing.

    Args:
        translator: What is started.
        clips: The training split.
        division: What of it is fitted on.
        shrinkage: Of pca_whitening.
    """
    student = standardizer(clips, translator.student_name, division.fit)
    translator.student.load_state_dict(student.state_dict())
    for teacher, spec in translator.specs.items():
        converter = translator[teacher].converter
        tokens = _tokens(clips, teacher, division.fit)
        fitted = normalizers.fit(spec.normalizer, tokens, shrinkage=shrinkage)
        converter.teacher.load_state_dict(fitted.state_dict())
        converter.map.start_at(moments(translator, teacher, clips, division).solve(spec))


def moments(translator: Translator, teacher: str, clips: StoredClips, division: Division) -> Fit:
    """Collect the moments of one converter on both parts of the split, in one pass over each."""
    wide = translator[teacher].spec.wide
    parts = (
        closed_form.collect(pairs(translator, teacher, clips, rows), wide=wide)
        for rows in (division.fit, division.held)
    )
    return Fit(*parts)


def pairs(
    translator: Translator, teacher: str, clips: StoredClips, rows: Int64[ndarray, " row"]
) -> Iterator[Pair]:
    """Give what a converter would see without a trunk, and normalised targets, batch by batch."""
    route = translator[teacher]
    for part in in_order(rows, BATCH):
        standardised = translator.student(clips.tokens(translator.student_name, part))
        yield route.converter.inputs(standardised), target(route, clips, teacher, part)


def target(
    route: Route, clips: StoredClips, teacher: str, rows: Int64[ndarray, " clip"]
) -> Float[Tensor, "clip time space dim"]:
    """Give a teacher's true tokens in its normalised space."""
    return route.teacher(clips.tokens(teacher, rows))


def _tokens(
    clips: StoredClips, backbone: str, rows: Int64[ndarray, " row"]
) -> Iterator[Float32[Tensor, "clip time space dim"]]:
    """Read tokens batch by batch, to where statistics are added up."""
    return (clips.tokens(backbone, part).cpu() for part in in_order(rows, BATCH))

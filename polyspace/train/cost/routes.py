"""The ways from a video to a class: the student's, the fusion's, and those that it replaces."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from polyspace.models.fusion import Distilled, Fusion
from polyspace.models.grids import TokenShape
from polyspace.train.cost.rows import Kind


@dataclass(frozen=True)
class Route:
    """One way, as plain values, so that another process can build it, too."""

    name: str
    kind: Kind
    words: str
    backbones: tuple[str, ...]
    """Those that see the clip; the first one's tokens are the base of the classifier."""
    specs: Mapping[str, Any]
    """Of the distilled model that it is a part of."""
    shapes: Mapping[str, TokenShape]
    """Of each backbone's tokens."""


class Classifier(nn.Module):
    """From some backbones' tokens to logits: standardised, fused, classified."""

    def __init__(self, normalizers: Mapping[str, nn.Module], fusion: Fusion) -> None:
        super().__init__()
        self.normalizers = nn.ModuleDict(normalizers)
        self.fusion = fusion

    def forward(
        self, tokens: Mapping[str, Float32[Tensor, "look _ _ _"]]
    ) -> Float[Tensor, "look label"]:
        """Take the first backbone's tokens for the student's, the others' for translations."""
        seen = {name: norm(tokens[name]) for name, norm in self.normalizers.items()}
        base = next(iter(seen))
        return self.fusion(seen.pop(base), seen).logits


class Translated(nn.Module):
    """From the student's tokens to logits, through its translations."""

    def __init__(self, model: Distilled) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, tokens: Mapping[str, Float32[Tensor, "look _ _ _"]]
    ) -> Float[Tensor, "look label"]:
        """Translate, fuse, classify."""
        return self.model(tokens[self.model.translator.student_name]).logits


def routes(model: Distilled, shapes: Mapping[str, TokenShape]) -> tuple[Route, ...]:
    """List every way: the student alone, the fusion, each teacher, and all of them together.

    Args:
        model: What was distilled.
        shapes: Of the stored tokens of the student and of every teacher.
    """
    student, teachers = model.translator.student_name, tuple(model.fusion.spec.teachers)
    listed: Sequence[tuple[str, Kind, str, tuple[str, ...]]] = (
        ("student", "baseline", f"{student} and a classifier", (student,)),
        ("fusion", "method", f"{student}, its translations, and the fusion", (student,)),
        *(
            (f"teacher:{name}", "upper bound", f"{name} itself and a classifier", (name,))
            for name in teachers
        ),
        (
            "true_teachers",
            "upper bound",
            f"{student} and every teacher itself, fused: what the translations replace",
            (student, *teachers),
        ),
    )
    specs = model.specs()
    return tuple(Route(*row, specs, {name: shapes[name] for name in row[3]}) for row in listed)


def build(route: Route, model: Distilled | None = None) -> Classifier | Translated:
    """Build what classifies at the end of a way, ready to run.

    Rivals' classifiers have the shape of the evaluated ones and weights that are drawn: what they
    cost doesn't depend on these.

    Args:
        route: The way.
        model: The distilled model itself; without, one of the same shape.
    """
    # Weights are drawn when a module is made; whoever draws next shall not notice.
    with torch.random.fork_rng(devices=[]):
        model = model or Distilled.from_specs(route.specs)
        if route.name == "fusion":
            return Translated(model).eval()
        return _direct(route, model).to(model.translator.student.mean.device).eval()


def _direct(route: Route, model: Distilled) -> Classifier:
    """Build the classifier over true tokens."""
    student, spec = model.translator.student_name, model.fusion.spec
    base, *others = route.backbones
    alone = {"student": route.shapes[base], "teachers": {}}
    normalizers = {
        name: model.translator.student if name == student else model.translator[name].teacher
        for name in route.backbones
    }
    return Classifier(normalizers, Fusion(spec if others else spec.model_copy(update=alone)))

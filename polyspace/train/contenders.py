"""Everything that stands beside the fusion in the table: baselines, controls and upper bounds.

All of them are fusions of some base tokens with some further tokens, trained by the one recipe, so
that they differ from the fusion in what they see and in nothing else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from polyspace.models.converters import ConverterKind, Translator
from polyspace.models.fusion import Fusion, FusionSpec
from polyspace.models.grids import TokenShape
from polyspace.seeding import derive
from polyspace.train.fusion_workload import Inputs, Rows, translated
from polyspace.train.sources import StoredClips

Kind = Literal["method", "baseline", "control", "upper bound"]
CLOSED_FORM: Mapping[ConverterKind, tuple[str, str]] = {
    "mean": (
        "mean_predictor",
        "fusion of converters that ignore the clip and say the teacher's mean",
    ),
    "procrustes": (
        "procrustes_converters",
        "fusion of converters that rotate and scale, solved in closed form",
    ),
    "ridge": ("ridge_converters", "fusion of linear converters, solved in closed form"),
}
"""Name and words of the rows of converters that are not trained."""
View = Callable[[StoredClips], Callable[[Rows], Inputs]]
"""What a contender sees of clips: of the training split's as of the test split's."""


@dataclass(frozen=True, eq=False)
class Contender:
    """A row of the table that is still to be trained."""

    name: str
    kind: Kind
    words: str
    spec: FusionSpec
    view: View
    before: int = 0
    """Parameters that run before the fusion, converters mostly."""
    repeated: bool = True
    """Whether it is trained with every seed; what is there for scale alone, with one."""


def parameters(module: nn.Module) -> int:
    """Count a module's parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def method(translator: Translator, spec: FusionSpec) -> Contender:
    """Give the method itself, as it would be trained again."""
    words = "student and translations, fused: what runs at inference"
    return _fusion_of("fusion", "method", words, translator, spec)


def contenders(
    translator: Translator,
    spec: FusionSpec,
    *,
    closed: Mapping[ConverterKind, Translator],
    shapes: Mapping[str, TokenShape],
    seed: int,
) -> tuple[Contender, ...]:
    """List everything that the fusion of this translator is compared with.

    Args:
        translator: The trained converters.
        spec: The fusion's.
        closed: Translators in closed form, by kind.
        shapes: Shape of each teacher's true tokens.
        seed: Draws the weights of the untrained converters.
    """
    alone = tuple(_alone(name, translator, spec, shapes[name]) for name in spec.teachers)
    return (
        student(translator, spec),
        _equal_parameters(translator, spec),
        _self_residual(translator, spec),
        _untrained(translator, spec, seed),
        *(_closed_form(kind, solved, spec) for kind, solved in closed.items()),
        *(contender for pair in alone for contender in pair),
        _true_teachers(translator, spec),
        _concatenated(translator, spec),
        _attentive(translator, spec),
    )


def _fusion_of(
    name: str, kind: Kind, words: str, translator: Translator, spec: FusionSpec
) -> Contender:
    """Fuse the student with what some translator makes of it."""
    return Contender(
        name,
        kind,
        words,
        spec,
        lambda clips: translated(clips, translator),
        parameters(translator),
    )


def _closed_form(kind: ConverterKind, solved: Translator, spec: FusionSpec) -> Contender:
    """Fuse what converters say that were solved for, not trained."""
    name, words = CLOSED_FORM[kind]
    return _fusion_of(name, "baseline", words, solved, spec)


def student(translator: Translator, spec: FusionSpec) -> Contender:
    """Give the student alone: what the method has to beat."""

    def view(clips: StoredClips) -> Callable[[Rows], Inputs]:
        return lambda rows: Inputs(_base(translator, clips, rows), {})

    words = "the student's tokens alone, under the same classifier"
    return Contender("student", "baseline", words, _without_teachers(spec, spec.student), view)


def _equal_parameters(translator: Translator, spec: FusionSpec) -> Contender:
    """Give the student as many parameters as converters and fusion have together."""
    alone = _without_teachers(spec, spec.student)
    narrow, wider = (alone.model_copy(update={"hidden": hidden}) for hidden in (1, 2))
    fixed = parameters(Fusion(narrow))
    per_unit = parameters(Fusion(wider)) - fixed
    goal = parameters(translator) + parameters(Fusion(spec))
    hidden = max(1, 1 + round((goal - fixed) / per_unit))
    words = "the student alone, its classifier deepened to the parameters of the whole method"
    spec = alone.model_copy(update={"hidden": hidden})
    return Contender("equal_parameters", "control", words, spec, student(translator, spec).view)


def _self_residual(translator: Translator, spec: FusionSpec) -> Contender:
    """Let the student through a gate of its own, where the teachers' translations would be."""

    def view(clips: StoredClips) -> Callable[[Rows], Inputs]:
        def inputs(rows: Rows) -> Inputs:
            base = _base(translator, clips, rows)
            return Inputs(base, {"student": base})

        return inputs

    words = "the student fused with itself, through the gates that teachers would have"
    own = spec.model_copy(update={"teachers": {"student": spec.student}})
    return Contender("self_residual", "control", words, own, view)


def _untrained(translator: Translator, spec: FusionSpec, seed: int) -> Contender:
    """Give the control with random features: as many as the translations have, of the student."""
    torch.manual_seed(derive(seed, "untrained converters"))
    random = Translator(translator.student_name, translator.specs)
    random.student = translator.student
    random = random.to(translator.student.mean.device)
    words = "fusion of converters with random weights: random features of the student"
    return _fusion_of("untrained_converters", "control", words, random, spec)


def _alone(
    teacher: str, translator: Translator, spec: FusionSpec, shape: TokenShape
) -> tuple[Contender, Contender]:
    """Give the teacher's true tokens, and their translations, each under the same classifier."""
    converter = translator[teacher]

    def true(clips: StoredClips) -> Callable[[Rows], Inputs]:
        return lambda rows: Inputs(converter.teacher(clips.tokens(teacher, rows)), {})

    def said(clips: StoredClips) -> Callable[[Rows], Inputs]:
        return lambda rows: Inputs(converter(_base(translator, clips, rows)), {})

    own = _without_teachers(spec, shape)
    return (
        Contender(
            f"translated:{teacher}",
            "baseline",
            f"the student's translation into {teacher}, alone",
            own,
            said,
            parameters(converter),
            repeated=False,
        ),
        Contender(
            f"teacher:{teacher}",
            "upper bound",
            f"{teacher} itself, alone",
            own,
            true,
            repeated=False,
        ),
    )


def _true_teachers(translator: Translator, spec: FusionSpec) -> Contender:
    def view(clips: StoredClips) -> Callable[[Rows], Inputs]:
        def inputs(rows: Rows) -> Inputs:
            true = {
                name: translator[name].teacher(clips.tokens(name, rows)) for name in spec.teachers
            }
            return Inputs(_base(translator, clips, rows), true)

        return inputs

    words = "fusion of the true teachers, which inference doesn't have"
    return Contender("true_teachers", "upper bound", words, spec, view, repeated=False)


def _concatenated(translator: Translator, spec: FusionSpec) -> Contender:
    """Give all that is known of a clip to one classifier, whatever the method's join is."""
    side_by_side = spec.model_copy(update={"join": "concatenation"})
    words = "the student's tokens and the true teachers' side by side"
    view = _true_teachers(translator, spec).view
    return Contender(
        "concatenated_teachers", "upper bound", words, side_by_side, view, repeated=False
    )


def _attentive(translator: Translator, spec: FusionSpec) -> Contender:
    """Give the student to the probe that published figures of frozen video encoders come from."""
    own = _without_teachers(spec, spec.student).model_copy(
        update={"head": "attentive", "hidden": 0}
    )
    name, words = f"attentive:{translator.student_name}", "attentive probe of the student's tokens"
    view = student(translator, spec).view
    return Contender(name, "baseline", words, own, view, repeated=False)


def _base(translator: Translator, clips: StoredClips, rows: Rows) -> Tensor:
    return translator.student(clips.tokens(translator.student_name, rows))


def _without_teachers(spec: FusionSpec, base: TokenShape) -> FusionSpec:
    return spec.model_copy(update={"teachers": {}, "student": base})

"""The fusion: translated features joined with the student's, and a classifier.

A join brings the translations into the student's tokens, a head classifies what comes of it. Every
join starts as the student: what it later adds, it has learned.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from polyspace.config import Config
from polyspace.errors import CheckpointError
from polyspace.models.converters import ConverterSpec, Translator
from polyspace.models.grids import TokenShape
from polyspace.models.heads import kinds
from polyspace.models.heads.kinds import HeadKind
from polyspace.models.joins.joined import Joined
from polyspace.models.joins.kinds import JOINS, JoinKind
from polyspace.models.restore import restore


class FusionSpec(Config):
    """Everything that decides a fusion's shape; written into checkpoints and bundles."""

    student: TokenShape
    """Shape of the student's tokens."""
    teachers: dict[str, TokenShape]
    """Shape of each teacher's tokens, in the order in which they are fused."""
    class_names: tuple[str, ...]
    """Classes in the order of the logits."""
    rank: int
    """Width of the bottleneck that a translation passes on its way to the student's space."""
    dropout: float
    """Share of the classifier's inputs that training drops."""
    join: JoinKind = "gated"
    """How translations are brought into the student's tokens."""
    head: HeadKind = "cells"
    """Which classifier."""
    depth: int = 1
    """Blocks of an attentive classifier."""
    teacher_dropout: float = 0.0
    """Share of clips that training shows without a teacher, each teacher by itself."""
    hidden: int = 0
    """Width of a perceptron in the classifier; only controls have one."""


@dataclass(frozen=True)
class Fused:
    """What a fusion says of a batch of clips."""

    logits: Float[Tensor, "clip label"]
    gates: Mapping[str, Float[Tensor, "clip time space"]]
    """How far each teacher was let in, between 0 and 1, on the student's grid."""
    penalties: Mapping[str, Float[Tensor, ""]]
    """What training keeps small besides the classifier's loss, weighted."""


class Fusion(nn.Module):
    """Join and classifier over standardised tokens; of no teachers, the classifier alone."""

    def __init__(self, spec: FusionSpec) -> None:
        super().__init__()
        self.spec = spec
        join = JOINS[spec.join](spec.student, spec.teachers, rank=spec.rank)
        self.join = join if spec.teachers else None
        self.head = kinds.make(
            spec.head,
            join.shape,
            classes=len(spec.class_names),
            dropout=spec.dropout,
            hidden=spec.hidden,
            depth=spec.depth,
        )

    def forward(
        self,
        student: Float[Tensor, "clip time space dim"],
        translated: Mapping[str, Float[Tensor, "clip _ _ _"]],
        without: Collection[str] = (),
    ) -> Fused:
        """Fuse and classify.

        Args:
            student: The student's tokens.
            translated: Every teacher's, on any grid; but those that it does without.
            without: Teachers that are missing.
        """
        joined = self.joined(student, translated, without)
        return Fused(self.head(joined.tokens), joined.gates, joined.penalties)

    def joined(
        self,
        student: Float[Tensor, "clip time space dim"],
        translated: Mapping[str, Float[Tensor, "clip _ _ _"]],
        without: Collection[str] = (),
    ) -> Joined:
        """Give what the classifier sees."""
        if self.join is None:
            return Joined(student, {}, {})
        present = {name: self._present(student, name in without) for name in self.spec.teachers}
        return self.join(student, {**self._nothing(student, without), **translated}, present)

    def record(self) -> dict[str, Any]:
        """Give what `from_record` needs, as plain values and tensors."""
        return {"spec": self.spec.model_dump(mode="json"), "state": self.state_dict()}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Fusion":
        """Rebuild from a record.

        Raises:
            CheckpointError: Its weights are not exactly those of such a fusion.
        """
        return restore(cls(FusionSpec.model_validate(record["spec"])), record["state"])

    def _present(self, student: Tensor, is_missing: bool) -> Float[Tensor, " clip"]:
        """Say which clips have a teacher; training drops it from some, each by chance."""
        there = student.new_full((student.shape[0],), 0.0 if is_missing else 1.0)
        if self.training and self.spec.teacher_dropout:
            there *= torch.rand_like(there) >= self.spec.teacher_dropout
        return there

    def _nothing(self, student: Tensor, without: Collection[str]) -> dict[str, Tensor]:
        """Give tokens that stand in for missing teachers; no join lets them in."""
        shapes = {name: self.spec.teachers[name] for name in without}
        return {
            name: student.new_zeros(student.shape[0], shape.time, shape.space, shape.dim)
            for name, shape in shapes.items()
        }


class Distilled(nn.Module):
    """What runs at inference: student tokens in, logits out, no teacher anywhere."""

    def __init__(self, translator: Translator, fusion: Fusion) -> None:
        super().__init__()
        self.translator = translator
        self.fusion = fusion

    def forward(
        self, tokens: Float32[Tensor, "clip time space dim"], without: Collection[str] = ()
    ) -> Fused:
        """Translate, fuse and classify one batch of the student's tokens."""
        student = self.translator.student(tokens)
        return self.fusion(student, self.translator(student), without)

    @classmethod
    def from_records(cls, converters: Mapping[str, Any], fusion: Mapping[str, Any]) -> "Distilled":
        """Join what two checkpoints hold, for inference.

        Raises:
            CheckpointError: The fusion was trained on the translations of other converters.
        """
        head = Fusion.from_record(fusion)
        trained = Translator.from_record(converters)
        missing = [name for name in head.spec.teachers if name not in trained.specs]
        if missing or trained.only(tuple(head.spec.teachers)).fingerprint() != fusion["converters"]:
            raise CheckpointError(
                "the fusion was trained on the translations of other converters than these: give "
                "the converters checkpoint that train_fusion was given, or train the fusion again"
            )
        return cls(trained.only(tuple(head.spec.teachers)), head).eval()

    def specs(self) -> dict[str, Any]:
        """Give what `from_specs` needs, as plain JSON values."""
        return {
            "student": self.translator.student_name,
            "converters": {
                name: spec.model_dump(mode="json") for name, spec in self.translator.specs.items()
            },
            "fusion": self.fusion.spec.model_dump(mode="json"),
        }

    @classmethod
    def from_specs(cls, specs: Mapping[str, Any]) -> "Distilled":
        """Build the architecture that `specs` describes, with arbitrary weights."""
        converters = {
            name: ConverterSpec.model_validate(spec) for name, spec in specs["converters"].items()
        }
        fusion = Fusion(FusionSpec.model_validate(specs["fusion"]))
        return cls(Translator(specs["student"], converters), fusion)

"""The fusion head: translated features added to the student's through gates, and a classifier.

With K teachers, student tokens z and translations t_k, all standardised and all on the student's
grid::

    g_k    = sigmoid(w . gelu(W [t_k ; z]))            one scalar a token
    z'     = z + 1/sqrt(K) * sum_k g_k * U_k D_k t_k   D_k down to `rank`, U_k up to the student's
    logits = head(z')

U_k starts at zero, so an untrained fusion *is* the student: what it later adds, it has learned.

Source: the residual gate is TC-BombKD's fusion; standardising before the gates, which saturate
otherwise, and the zero start are ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any, cast

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn
from torch.nn import functional

from polyspace.config import Config
from polyspace.errors import CheckpointError
from polyspace.models.converters import ConverterSpec, Translator
from polyspace.models.grids import TokenShape, resample
from polyspace.models.heads import Head


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
    hidden: int = 0
    """Width of a perceptron in the classifier; only controls have one."""


@dataclass(frozen=True)
class Fused:
    """What a fusion says of a batch of clips."""

    logits: Float[Tensor, "clip label"]
    gates: Mapping[str, Float[Tensor, "clip time space"]]
    """How far each teacher was let in, between 0 and 1, on the student's grid."""


class Gate(nn.Module):
    """Lets one teacher's translation into the student's tokens."""

    def __init__(self, student: TokenShape, teacher: TokenShape, rank: int) -> None:
        super().__init__()
        self.shape = student
        self.down = nn.Linear(teacher.dim, rank, bias=False)
        self.up = nn.Linear(rank, student.dim, bias=False)
        self.from_teacher = nn.Linear(teacher.dim, rank, bias=False)
        self.from_student = nn.Linear(student.dim, rank)
        self.openness = nn.Linear(rank, 1)
        nn.init.zeros_(self.up.weight)

    def forward(
        self,
        student: Float[Tensor, "clip time space dim"],
        translated: Float[Tensor, "clip _ _ teacher_dim"],
    ) -> tuple[Float[Tensor, "clip time space dim"], Float[Tensor, "clip time space"]]:
        """Give what to add to the student's tokens, and the gate."""
        asked = self.from_student(student) + self._on_grid(self.from_teacher(translated))
        gate = torch.sigmoid(self.openness(functional.gelu(asked)))
        return gate * self.up(self._on_grid(self.down(translated))), gate.squeeze(-1)

    def _on_grid(self, tokens: Tensor) -> Tensor:
        """Resample after projecting: the same numbers, on `rank` dimensions instead of all."""
        return resample(tokens, time=self.shape.time, space=self.shape.space)


class Fusion(nn.Module):
    """Gates and classifier over standardised tokens."""

    def __init__(self, spec: FusionSpec) -> None:
        super().__init__()
        self.spec = spec
        self.gates = nn.ModuleDict(
            {
                name: Gate(spec.student, teacher, spec.rank)
                for name, teacher in spec.teachers.items()
            }
        )
        self.head = Head(
            spec.student,
            classes=len(spec.class_names),
            dropout=spec.dropout,
            hidden=spec.hidden,
        )

    def forward(
        self,
        student: Float[Tensor, "clip time space dim"],
        translated: Mapping[str, Float[Tensor, "clip _ _ _"]],
    ) -> Fused:
        """Fuse and classify; translations may be on any grid."""
        total, gates = student, dict[str, Tensor]()
        for name, module in self.gates.items():
            addition, gates[name] = cast(Gate, module)(student, translated[name])
            total = total + addition / sqrt(len(self.gates))
        return Fused(logits=self.head(total), gates=gates)

    def record(self) -> dict[str, Any]:
        """Give what `from_record` needs, as plain values and tensors."""
        return {"spec": self.spec.model_dump(mode="json"), "state": self.state_dict()}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Fusion":
        """Rebuild from a record; every weight must be there and nothing else."""
        fusion = cls(FusionSpec.model_validate(record["spec"]))
        fusion.load_state_dict(record["state"], strict=True)
        return fusion


class Distilled(nn.Module):
    """What runs at inference: student tokens in, logits out, no teacher anywhere."""

    def __init__(self, translator: Translator, fusion: Fusion) -> None:
        super().__init__()
        self.translator = translator
        self.fusion = fusion

    def forward(self, tokens: Float32[Tensor, "clip time space dim"]) -> Fused:
        """Translate, fuse and classify one batch of the student's tokens."""
        student = self.translator.student(tokens)
        return self.fusion(student, self.translator(student))

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

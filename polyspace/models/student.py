"""The student alone: its standardised tokens under a classifier, no teacher and no translation."""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Float32
from torch import Tensor, nn

from polyspace.models.fusion import Fused, Fusion, FusionSpec
from polyspace.models.normalizers import Standardizer
from polyspace.models.restore import restore

ITSELF = "student"
"""What the student is called where it takes a teacher's place."""


class StudentHead(nn.Module):
    """A standardizer, and a fusion of no teachers or of the student with itself."""

    def __init__(self, student: str, fusion: Fusion, standardizer: Standardizer) -> None:
        super().__init__()
        self.student, self.fusion, self.standardizer = student, fusion, standardizer

    def forward(self, tokens: Float32[Tensor, "clip time space dim"]) -> Fused:
        """Classify one batch of the student's tokens."""
        base = self.standardizer(tokens)
        return self.fusion(base, {name: base for name in self.fusion.spec.teachers})

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "StudentHead":
        """Rebuild from a checkpoint of train_student, for inference.

        Raises:
            CheckpointError: Its weights are not exactly those of such a head.
        """
        dim = FusionSpec.model_validate(record["spec"]).student.dim
        standardizer = restore(Standardizer(dim), record["standardizer"])
        return cls(record["student"], Fusion.from_record(record), standardizer).eval()

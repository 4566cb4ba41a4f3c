"""What leaves: the trained models, and the clips of the store that they are shown on the way."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from polyspace.engine import checkpoint
from polyspace.errors import ExportError
from polyspace.export.formats.kinds import Entry, Subject
from polyspace.files import sha256_file
from polyspace.models.fusion import Distilled
from polyspace.train.sources import StoredClips

CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class Source:
    """Trained models, and where they come from."""

    model: Distilled
    digests: Mapping[str, str]
    """sha256 of the checkpoints' files, by what they hold."""
    provenance: Mapping[str, Any]
    """What each checkpoint says of its training."""

    @classmethod
    def read(cls, converters: Path, fusion: Path) -> "Source":
        """Read both checkpoints.

        Raises:
            CheckpointError: One is missing, damaged, or something else; or they don't belong
                together.
        """
        paths = {"converters": converters, "fusion": fusion}
        records = {name: checkpoint.load(path, name) for name, path in paths.items()}
        return cls(
            Distilled.from_records(records["converters"], records["fusion"]),
            {name: sha256_file(path) for name, path in paths.items()},
            {name: record["provenance"] for name, record in records.items()},
        )

    @property
    def student(self) -> str:
        """Name the backbone whose tokens the model takes."""
        return self.model.translator.student_name


class Answers(nn.Module):
    """The distilled model without its gates: tokens in, logits out."""

    def __init__(self, model: Distilled) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Answer for a batch of clips."""
        return self.model(tokens).logits


def student_record(clips: StoredClips, student: str) -> dict[str, Any]:
    """Say what the student is and how it looks at clips, for whoever has videos.

    Raises:
        StoreError: The store doesn't hold the student.
    """
    shape, spec = clips.shape(student), clips.store.backbones[student]
    return {
        "name": student,
        "tokens": asdict(shape),
        "views": clips.views,
        "protocol": dict(clips.store.protocol),
        "provenance": dict(spec.provenance),
    }


def subject(
    source: Source, entry: Entry, clips: StoredClips, *, count: int, keep: tuple[str, ...]
) -> Subject:
    """Prepare a model to leave, with training clips to trace and calibrate it with.

    Args:
        source: The models.
        entry: What the exported model takes.
        clips: Training clips.
        count: How many clips at most, spread evenly over the split.
        keep: Modules whose weights stay float32.

    Raises:
        ExportError: The model can't be entered there.
    """
    if entry == "pictures":
        raise ExportError("--entry pictures: not built yet")
    rows = clips.rows((source.student,))
    places = np.unique(np.linspace(0, len(rows) - 1, count).round().astype(int))
    tokens = clips.tokens(source.student, rows[places])
    return Subject(source.model, entry, Answers(source.model).eval(), tokens, keep)

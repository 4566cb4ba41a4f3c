"""What leaves: the trained models, and the clips of the store that they are shown on the way."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64
from numpy import ndarray
from torch import Tensor, nn

from polyspace.engine import checkpoint
from polyspace.export import pictures
from polyspace.export.folding import Folded, folds
from polyspace.export.formats.kinds import Entry, Subject
from polyspace.export.pictures import Looking
from polyspace.files import sha256_file
from polyspace.models.fusion import Distilled
from polyspace.models.grids import TokenShape
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
    weights: Mapping[str, str] = field(default_factory=dict[str, str])
    """Folders of weights by backbone, which go before those that a store names."""

    @classmethod
    def read(
        cls, converters: Path, fusion: Path, weights: Mapping[str, str] | None = None
    ) -> "Source":
        """Read both checkpoints.

        Args:
            converters: Written by train_converter.
            fusion: Written by train_fusion.
            weights: Folders of weights by backbone, for whoever enters at the pictures.

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
            weights or {},
        )

    @property
    def student(self) -> str:
        """Name the backbone whose tokens the model takes."""
        return self.model.translator.student_name

    def reference(self, entry: Entry, clips: StoredClips) -> nn.Module:
        """Give the way from `entry` to logits, as what leaves is compared with.

        Args:
            entry: Where it begins.
            clips: A store that says how the student's features were made.

        Raises:
            ExportError: The model can't be entered there.
            WeightsError: The student's weights are not here.
            StoreError: They are not those that the features were made with.
        """
        return self._from(entry, Answers(self.model), clips)

    def folded(self, entry: Entry, clips: StoredClips) -> nn.Module:
        """Give the same way with what can be multiplied beforehand; for models that fold.

        Raises:
            As `reference`.
        """
        return self._from(entry, Folded(self.model), clips)

    def _from(self, entry: Entry, answers: nn.Module, clips: StoredClips) -> nn.Module:
        if entry == "tokens":
            return answers.eval()
        return Looking(pictures.load(self.student, clips, self.weights), answers).eval()


class Answers(nn.Module):
    """The distilled model without its gates: tokens in, logits out; modules keep their names."""

    def __init__(self, model: Distilled) -> None:
        super().__init__()
        self.translator, self.fusion = model.translator, model.fusion

    def forward(
        self, tokens: Float32[Tensor, "clip time space dim"]
    ) -> Float32[Tensor, "clip label"]:
        """Answer for a batch of clips."""
        student = self.translator.student(tokens)
        return self.fusion(student, self.translator(student)).logits


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
    source: Source,
    entry: Entry,
    clips: StoredClips,
    *,
    count: int,
    keep: tuple[str, ...],
    root: Path | None = None,
) -> Subject:
    """Prepare a model to leave, with training clips to trace and calibrate it with.

    Its module is folded, unless modules are kept float32 by name: a fold has other modules.

    Args:
        source: The models.
        entry: What the exported model takes.
        clips: Training clips.
        count: How many clips at most, spread evenly over the split.
        keep: Modules whose weights stay float32.
        root: Folder of the videos, for pictures; without, these are random.

    Raises:
        ExportError: The model can't be entered there.
        VideoError: A video is not there, or can't be decoded.
    """
    whole = keep or not folds(source.model)
    module = source.reference(entry, clips) if whole else source.folded(entry, clips)
    shown = entry == "tokens" or root is not None
    if shown:
        rows = clips.rows((source.student,))
        places = np.unique(np.linspace(0, len(rows) - 1, count).round().astype(int))
        examples = inputs(entry, source.student, clips, rows[places], root)
    else:
        examples = pictures.random(pictures.spec_of(source.student, clips), 2)
    record = student_record(clips, source.student)
    return Subject(source.model, entry, module, examples, keep, record, are_clips=shown)


def inputs(
    entry: Entry,
    student: str,
    clips: StoredClips,
    rows: Int64[ndarray, " look"],
    root: Path | None,
) -> Tensor:
    """Give some looks at clips as a model takes them, on the CPU.

    Args:
        entry: What it takes.
        student: The backbone whose tokens, or whose pictures.
        clips: The clips.
        rows: Which looks.
        root: Folder of the videos, for pictures.

    Raises:
        ExportError: Pictures, and no folder was given.
        VideoError: A video is not there, or can't be decoded.
    """
    if entry == "tokens":
        return clips.tokens(student, rows)
    return pictures.of_rows(student, clips, rows, root)


def blank(entry: Entry, student: Mapping[str, Any], count: int) -> Tensor:
    """Give as many looks at nothing: a network needs no less time or memory for them.

    Args:
        entry: What the model takes.
        student: What its bundle says of the student (see `student_record`).
        count: How many.
    """
    if entry == "tokens":
        shape = TokenShape(**student["tokens"])
        return torch.zeros(count, shape.time, shape.space, shape.dim)
    seen = student["provenance"]["inputs"]
    dtype = torch.uint8 if seen["kind"] == "frames" else torch.float32
    channels = len(seen["mean"])
    return torch.zeros(count, seen["frames"], channels, seen["height"], seen["width"], dtype=dtype)

"""The terms of a proof, and what is written down of one: proof.json as plain values."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from polyspace.export.formats.kinds import Entry, FormatName
from polyspace.export.proof.compare import Comparison
from polyspace.export.proof.latency import Latency
from polyspace.export.proof.thresholds import Thresholds

SCHEMA = 2


@dataclass(frozen=True)
class Terms:
    """How a proof is made, and what it has to show."""

    kind: FormatName
    entry: Entry
    thresholds: Thresholds
    device: torch.device
    """Where both models run."""
    measure: bool = True
    """Whether time and memory are measured, too."""
    root: Path | None = None
    """Folder of the videos, for models that take pictures."""
    command: str = ""
    """What makes the export again."""


@dataclass(frozen=True)
class Subject:
    """What was exported, and what it was asked about."""

    schema: int
    kind: FormatName
    entry: Entry
    bytes: int
    """Of the model's files."""
    float32_bytes: int
    """Of the same model as float32 in safetensors."""
    ratio: float
    dataset: str
    split: str
    fingerprint: str
    """Of the held-out store."""


@dataclass(frozen=True)
class Compute:
    """Types that products were computed in."""

    source: str
    export: str
    reason: str
    """Why the export's is what it is."""


@dataclass(frozen=True)
class Memory:
    """Memory that each needs at most."""

    source_bytes: int
    export_bytes: int
    words: str
    """What is counted."""


@dataclass(frozen=True)
class Seconds:
    """How long each takes."""

    source: float
    export: float


@dataclass(frozen=True)
class Circumstances:
    """Where and how it was measured, and what it took; null where it wasn't."""

    thresholds: Thresholds
    compute: Compute
    device: str
    threads: int
    """Of torch, on the CPU."""
    versions: Mapping[str, str]
    latency: tuple[Latency, ...] | None
    memory: Memory | None
    load_seconds: Seconds | None
    """Until it can answer: every byte verified, read, and put in its place; after imports."""
    command: str
    created: str
    """ISO 8601, UTC."""
    seconds: float
    """That the proof took."""


@dataclass(frozen=True)
class Proof:
    """All of it."""

    subject: Subject
    comparison: Comparison
    circumstances: Circumstances

    def record(self) -> dict[str, Any]:
        """Give the content of proof.json: the fields of all three, side by side."""
        return asdict(self.subject) | asdict(self.comparison) | asdict(self.circumstances)

"""The record of an exported bundle: its config.json, as far as people are shown it."""

from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue

from polyspace.report.records.record import Record, read


class TensorRecord(Record):
    """One tensor, and what storing it did to its values."""

    name: str
    kind: Literal["parameter", "buffer"]
    dtype: str
    count: int
    largest: float
    overflow: int
    subnormal: int
    worst_relative_error: float
    rms_error: float


class Policy(Record):
    """Which tensors are stored in which type."""

    storage: str
    keep_float32: tuple[str, ...]


class Quantization(Record):
    """quantization_info: what was rounded and what was kept."""

    dtype: str
    total_parameters: int
    parameters: dict[str, int]
    """Trained values by type."""
    buffers: dict[str, int]
    """Measured and counted values by type."""
    compression_ratio: float
    policy: Policy
    source_sha256: dict[str, str]
    tensors: tuple[TensorRecord, ...]


class Student(Record):
    """The backbone that runs before the model."""

    name: str
    tokens: dict[str, int]
    """Time, space and dim of what it gives."""
    views: int
    protocol: dict[str, JsonValue]
    provenance: dict[str, JsonValue]

    @property
    def inputs(self) -> dict[str, JsonValue]:
        """Give what its pictures look like, as far as the store says."""
        found = self.provenance.get("inputs")
        return found if isinstance(found, dict) else {}


class WeightsRecord(Record):
    """Where a backbone's weights came from."""

    source: str
    fingerprint: str = ""
    random: bool = False
    card: dict[str, JsonValue] = Field(default_factory=dict)


class TrainingRecord(Record):
    """What a checkpoint says of its training."""

    dataset: str = ""
    split: str = ""
    fingerprint: str = ""
    config: dict[str, JsonValue] = Field(default_factory=dict)
    weights: dict[str, WeightsRecord] = Field(default_factory=dict)
    """Of the backbones, by name."""


class Provenance(Record):
    """What both checkpoints say."""

    converters: TrainingRecord = TrainingRecord()
    fusion: TrainingRecord = TrainingRecord()


class Bundle(Record):
    """config.json."""

    kind: str
    entry: Literal["tokens", "pictures"]
    class_names: tuple[str, ...]
    student: Student
    quantization_info: Quantization
    provenance: Provenance = Provenance()

    @property
    def weights(self) -> dict[str, WeightsRecord]:
        """Give every backbone's weights, the student's first."""
        known = {**self.provenance.fusion.weights, **self.provenance.converters.weights}
        order = sorted(known, key=lambda name: name != self.student.name)
        return {name: known[name] for name in order}

    @property
    def teachers(self) -> tuple[str, ...]:
        """Name the backbones that were translated into."""
        return tuple(name for name in self.weights if name != self.student.name)

    @property
    def random_weights(self) -> tuple[str, ...]:
        """Name the backbones that were never trained."""
        return tuple(name for name, weights in self.weights.items() if weights.random)


def read_bundle(path: Path) -> Bundle:
    """Read a bundle's config.json.

    Raises:
        RecordError: It isn't there, or isn't one.
    """
    return read(path, Bundle)

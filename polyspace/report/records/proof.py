"""The record of a proof: how an exported model compared with its source."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from polyspace.report.records.inference import Span
from polyspace.report.records.record import Estimate, Record, read


class Changed(Record):
    """A clip to which the export gives another class."""

    id: str
    label: str
    before: str
    after: str
    margin: float
    """The source's chance of its first class less that of its second."""


class Thresholds(Record):
    """What the export had to keep to; None where nothing was asked."""

    points: float | None = None
    """Largest difference in top-1, up or down, in points."""
    agreement: float | None = None
    """Smallest share of clips with the same class."""
    mean_kl: float | None = None
    """Largest mean divergence, in nats."""


class Compute(Record):
    """The types that both models computed in."""

    source: str
    export: str
    reason: str


class Latency(Record):
    """The time of one batch, source and export in turn."""

    batch: int
    source_ms: Span
    export_ms: Span
    ratio: Span
    """Export over source, round by round."""
    repeats: int


class Memory(Record):
    """Peak memory of both, in processes of their own."""

    source_bytes: int
    export_bytes: int
    words: str
    """What the peak includes."""


class LoadSeconds(Record):
    """Time to load, beyond that of imports."""

    source: float
    export: float


class Proof(Record):
    """proof.json: an exported bundle, reloaded and compared with its source."""

    schema_version: Annotated[Literal[2], Field(alias="schema")]
    kind: str
    """Its format."""
    entry: Literal["tokens", "pictures"]
    bytes: int
    float32_bytes: int
    ratio: float
    dataset: str
    split: str
    fingerprint: str
    """Of the store that held the clips."""
    clips: int
    looks: int
    """Clips times views."""
    groups: int | None = None
    """Source videos that the clips are of."""
    top1_source: Estimate
    top1_export: Estimate
    difference_points: Estimate
    """Export less source, paired by clip."""
    agreement: float
    max_abs_logit: float
    mean_abs_logit: float
    mean_kl: float
    """KL(source || export) of the classes' chances, in nats, over looks."""
    max_kl: float
    changed: tuple[Changed, ...]
    """Twenty at most."""
    thresholds: Thresholds
    compute: Compute
    device: str
    threads: int
    versions: dict[str, str]
    latency: Annotated[tuple[Latency, ...], BeforeValidator(lambda value: value or ())]
    """By batch; empty (null in the file) where it was not measured."""
    memory: Memory | None
    load_seconds: LoadSeconds | None
    command: str
    created: datetime
    seconds: float

    @property
    def same(self) -> int:
        """Count the clips that have the same class as before."""
        return round(self.agreement * self.clips)

    @property
    def first(self) -> Latency | None:
        """Give the smallest batch that was timed."""
        return min(self.latency, key=lambda latency: latency.batch, default=None)

    def at(self, batch: int) -> Latency | None:
        """Give the time of batches of a size, if it was measured."""
        return next((latency for latency in self.latency if latency.batch == batch), None)


def read_proof(path: Path) -> Proof:
    """Read a bundle's proof.json.

    Raises:
        RecordError: It isn't there, or isn't one.
    """
    return read(path, Proof)

"""What is handed to a fresh process, and what it hands back; both as JSON."""

from pathlib import Path

from polyspace.config import Config
from polyspace.export.formats.kinds import Entry
from polyspace.export.proof.latency import Latency

JOB, RESULT, LOGITS = "job.json", "result.json", "logits.safetensors"
"""Files in the folder that a process is given."""


class Job(Config):
    """What a fresh process is to do; it knows nothing else."""

    bundle: Path
    """What it loads first, and whose memory is measured."""
    beside: Path | None = None
    """Another bundle, which it is then timed beside; without, it answers for every clip."""
    store: Path
    """Feature store of the held-out clips."""
    looks: Path | None = None
    """Folder of all looks at them, prepared, for models that take pictures."""
    entry: Entry
    device: str
    threads: int
    measure: bool
    """Whether time and memory are measured."""


class Result(Config):
    """What came of it."""

    compute: str
    """Type that products were computed in."""
    reason: str
    versions: dict[str, str]
    """Of packages that the format needs, besides torch."""
    load_seconds: float | None = None
    memory_bytes: int | None = None
    latency: tuple[Latency, ...] = ()
    """Of `beside` (the export) against `bundle` (the source)."""

"""What inference costs, and clips that are worth looking at."""

from typing import Literal

from polyspace.report.records.record import Record


class Span(Record):
    """Milliseconds of one clip; a tenth of the repeats lies below `low`, a tenth above `high`."""

    median: float
    low: float
    high: float


class PathCost(Record):
    """What one way from a video to a class costs."""

    name: str
    """As the method is called."""
    kind: Literal["method", "baseline", "upper bound"]
    words: str
    backbones: tuple[str, ...]
    parameters: int | None
    """Of everything that runs."""
    flops: int | None
    """Of one clip, all of its views."""
    latency_ms: dict[str, Span]
    """By part: decode, preprocess, encode, classify, and total, run in one go."""
    clips_per_second: float | None
    peak_memory_bytes: int | None
    batched_memory_bytes: int | None
    repeats: int
    missing: dict[str, str]
    """What is absent above, and why."""


class Cost(Record):
    """What inference costs on one machine, along every path."""

    device: str
    threads: int
    dtype: str
    batch: int
    processes: int
    views: int
    videos: int
    paths: tuple[PathCost, ...]
    flops: str
    """What the counter counts, and what it leaves out."""
    memory: str
    """What the peak includes."""
    missing: dict[str, str]
    seconds: float
    """That the measurement took."""


class Shown(Record):
    """A clip worth looking at; its frames lie in an archive, under its place in the list."""

    id: str
    group: str
    rank: Literal["worst", "best"]
    label: int
    said: int
    chance: float
    """Of the class that was said."""
    true_chance: float
    view: int
    views: int
    frame_seconds: tuple[float, ...]
    gates: dict[str, tuple[float, ...]]
    """By teacher, at every temporal position of the student."""
    gate_seconds: tuple[tuple[float, float], ...]
    """Start and end of what each of those positions saw."""
    missing: dict[str, str]
    """What is absent, and why."""

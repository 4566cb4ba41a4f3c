"""What was measured, as plain values: `dataclasses.asdict` gives their JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Kind = Literal["method", "baseline", "upper bound"]
"""Kinds of methods, of those that the evaluation tells apart."""

DECODE, PREPROCESS, ENCODE, CLASSIFY, TOTAL = "decode", "preprocess", "encode", "classify", "total"
"""Parts of a path, in their order; classify: standardise, translate, fuse, mean of softmaxes.
total: from the file to the chances, run in one go."""


@dataclass(frozen=True)
class Span:
    """Milliseconds of one clip, over repeats."""

    median: float
    low: float
    """The lowest tenth takes less."""
    high: float
    """The highest tenth takes more."""

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Span":
        """Summarise what repeats took."""
        low, median, high = (float(q) for q in np.quantile(seconds, [0.1, 0.5, 0.9]) * 1000)
        return cls(median, low, high)


@dataclass(frozen=True)
class PathCost:
    """What one way from a video to a class costs."""

    name: str
    """As the method is called in the evaluation."""
    kind: Kind
    words: str
    backbones: tuple[str, ...]
    """Those that see the clip."""
    parameters: int | None
    """Of everything that runs: backbones, converters, fusion."""
    flops: int | None
    """Of one clip, all of its views; a multiplication and its addition are two."""
    latency_ms: Mapping[str, Span]
    """Of one clip at a time, by part; those that could not be measured are absent."""
    clips_per_second: float | None
    """In batches, decoding ahead, from a standing start."""
    peak_memory_bytes: int | None
    """Of one clip at a time; what it includes stands in `Cost.memory`."""
    batched_memory_bytes: int | None
    """The same of a full batch."""
    repeats: int
    """Clips whose latency was taken, after warm-up."""
    missing: Mapping[str, str] = field(default_factory=dict[str, str])
    """What is absent above, and why."""


@dataclass(frozen=True)
class Cost:
    """What inference costs on one machine, along every path."""

    device: str
    threads: int
    """Of torch, on the CPU."""
    dtype: str
    """Type that the backbones compute in."""
    batch: int
    """Clips of a batch, for throughput."""
    processes: int
    """That decode ahead, for throughput."""
    views: int
    """Looks at every clip; all of them are paid for."""
    videos: int
    """Different files that were decoded, over and over."""
    paths: tuple[PathCost, ...]
    flops: str
    """What the counter counts, and what it leaves out."""
    memory: str
    """What the peak of memory includes."""
    missing: Mapping[str, str] = field(default_factory=dict[str, str])
    """What could be measured of no path, and why; videos that were left out."""
    seconds: float = 0.0
    """That the measurement took."""

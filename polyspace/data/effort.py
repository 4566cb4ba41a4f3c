"""Where the time of an extraction goes, and what would make it shorter."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Literal

Stage = Literal["decode", "preprocess", "backbone", "write"]

REMEDIES: Mapping[Stage, str] = {
    "decode": "more --workers, or more machines that share the store",
    "preprocess": "a faster core, or fewer backbones at a time",
    "backbone": "--use-bf16, a larger --batch, a GPU, or more machines that share the store",
    "write": "a faster disk, or a smaller --spatial",
}


@dataclass(frozen=True)
class Effort:
    """Seconds that the process which ties the stages together spent on, or waiting for, each."""

    seconds: Mapping[Stage, float] = field(default_factory=dict[Stage, float])

    @property
    def shares(self) -> Mapping[Stage, float]:
        """Give the stages' parts of the whole, the largest first."""
        total = sum(self.seconds.values()) or 1.0
        longest = sorted(self.seconds, key=lambda stage: -self.seconds[stage])
        return {stage: self.seconds[stage] / total for stage in longest}

    def __str__(self) -> str:
        """Name the bottleneck, and what to do about it."""
        shares = self.shares
        if not shares:
            return "nothing was done"
        first = next(iter(shares))
        parts = ", ".join(f"{stage} {share:.0%}" for stage, share in shares.items())
        return f"bottleneck: {first} ({parts}); what helps: {REMEDIES[first]}"


class Stopwatch:
    """Adds up what each stage takes."""

    def __init__(self) -> None:
        self._seconds: dict[Stage, float] = {}

    @contextmanager
    def on(self, stage: Stage) -> Generator[None]:
        """Count what happens inside for a stage."""
        started = perf_counter()
        try:
            yield
        finally:
            spent = perf_counter() - started
            self._seconds[stage] = self._seconds.get(stage, 0.0) + spent

    @property
    def effort(self) -> Effort:
        """Give what was added up so far."""
        return Effort(dict(self._seconds))

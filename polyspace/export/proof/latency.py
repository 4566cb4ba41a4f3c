"""How long two models take over the same clips, in turns, so that what else runs slows both."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from polyspace.export.formats.kinds import Runner
from polyspace.train.cost.rows import Span

BATCHES = (1, 4, 8, 32)
"""Clips at a time."""
WARM_UP = 3
"""Rounds that are not counted: they find kernels, caches and memory that aren't ready."""
FEWEST, MOST = 15, 200
"""Rounds of a batch size; `FEWEST` even if they take longer than `SECONDS`."""
SECONDS = 1.0
"""For a batch size, in which as many rounds are made as there is time for."""
LONGEST, LEAST = 20.0, 5
"""Seconds after which as few rounds do: of a network that sees pictures, in large batches."""


@dataclass(frozen=True)
class Ratio:
    """Export over source, round by round."""

    median: float
    low: float
    """A tenth of the rounds is below."""
    high: float
    """A tenth of the rounds is above."""

    @classmethod
    def of(cls, values: np.ndarray) -> "Ratio":
        """Summarise paired ratios."""
        low, median, high = (float(q) for q in np.quantile(values, [0.1, 0.5, 0.9]))
        return cls(median, low, high)


@dataclass(frozen=True)
class Latency:
    """What a batch takes, in milliseconds."""

    batch: int
    source_ms: Span
    export_ms: Span
    ratio: Ratio
    repeats: int


Clock = Callable[[Runner, Tensor], float]
"""Runs a model once; gives the seconds that it took."""


def measure(source: Runner, export: Runner, inputs: Tensor, clock: Clock) -> Iterator[Latency]:
    """Time two models over batches of several sizes.

    Args:
        source: The model that the other is compared with.
        export: The other.
        inputs: At least one clip, as both take them; they are repeated as often as needed.
        clock: How a run is timed (see `clock_for`).
    """
    for batch in BATCHES:
        given = inputs[torch.arange(batch) % len(inputs)].contiguous()
        times = _in_turns({"source": source, "export": export}, given, clock)
        yield Latency(
            batch,
            Span.of(times["source"]),
            Span.of(times["export"]),
            Ratio.of(np.array(times["export"]) / np.array(times["source"])),
            repeats=len(times["source"]),
        )


def clock_for(device: torch.device) -> Clock:
    """Give what times a run: events on a GPU, which goes on when a call is back, else a clock."""
    return _by_events if device.type == "cuda" else _by_clock


def _in_turns(runs: Mapping[str, Runner], given: Tensor, clock: Clock) -> dict[str, list[float]]:
    """Run models in turns; who is first changes from round to round."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(WARM_UP):
        for run in runs.values():
            clock(run, given)
    started, done = perf_counter(), 0
    while done < _wanted(perf_counter() - started):
        for name in sorted(runs, reverse=bool(done % 2)):
            times[name].append(clock(runs[name], given))
        done += 1
    return times


def _wanted(seconds: float) -> int:
    """Say how many rounds are wanted, once they have taken so long."""
    return MOST if seconds < SECONDS else FEWEST if seconds < LONGEST else LEAST


def _by_clock(run: Runner, given: Tensor) -> float:
    started = perf_counter()
    run(given)
    return perf_counter() - started


def _by_events(run: Runner, given: Tensor) -> float:
    torch.cuda.synchronize()
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    first.record()
    run(given)
    last.record()
    torch.cuda.synchronize()
    return first.elapsed_time(last) / 1000

"""How long a path takes: one clip at a time, and many in batches."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from time import perf_counter

import torch
from torch import Tensor

from polyspace.data.clips import DecodedClip
from polyspace.data.prefetch import Decoded, decode_all
from polyspace.errors import PolySpaceError, VideoError
from polyspace.models.backbones.state import first_line
from polyspace.train.cost.line import Line
from polyspace.train.cost.rows import CLASSIFY, DECODE, TOTAL
from polyspace.train.videos import Videos

WARM_UP = 2
"""Clips that are not counted: they find kernels, caches and processes that aren't ready."""
FEWEST = 3
"""Repeats that a median is taken of, however long they take."""
WARMED = 5.0
"""Seconds: of a batch that takes longer, finding its kernels ready or not is a small part."""
FAILURES = (PolySpaceError, torch.OutOfMemoryError, MemoryError)
"""What costs a path its figures, and nothing else."""


@dataclass(frozen=True)
class Effort:
    """How thoroughly to measure."""

    batch: int = 4
    """Clips of a batch, for throughput."""
    repeats: int = 10
    """Clips at most whose latency is taken, along every path."""
    videos: int = 6
    """Different files at most."""
    processes: int = 2
    """That decode ahead, for throughput."""
    seconds: float = 1.0
    """For the latencies of a path, and again for its throughput; at least `FEWEST` repeats and one
    batch."""


@dataclass(frozen=True, eq=False)
class Reel:
    """Videos that can be decoded, to be shown over and over."""

    videos: Videos
    names: Sequence[str]
    """Of the clips."""

    @contextmanager
    def decoded(
        self, line: Line, *, processes: int = 0, ahead: int = 0, clips: int | None = None
    ) -> Generator[Iterator[DecodedClip]]:
        """Decode what a path wants, in contained processes; without a number, without an end."""
        wanted = [encoder.backbone.inputs for encoder in line.encoders.values()]
        requests = (self.videos.request(name, wanted) for name in islice(cycle(self.names), clips))
        root = self.videos.root
        with closing(decode_all(root, requests, processes=processes, ahead=ahead)) as results:
            yield map(_refuse_error, results)


Times = list[dict[str, float]]
"""Seconds by part, one entry a repeat."""
Once = Callable[[], dict[str, float]]
"""Takes one clip along a path, and says how long each part took."""


@dataclass(frozen=True)
class Taken:
    """What repeats of several paths took."""

    times: Mapping[str, Times]
    failed: Mapping[str, str]
    """Paths that could not be run to the end, and why."""


def in_turns(paths: Mapping[str, Once], effort: Effort) -> Generator[int, None, Taken]:
    """Run paths in turns, so that whatever else the machine does meanwhile slows all of them.

    Yields the rounds that are done.
    """
    times: dict[str, Times] = {name: [] for name in paths}
    failed: dict[str, str] = {}
    until = 0.0
    number = -WARM_UP
    while number < FEWEST or (number < effort.repeats and perf_counter() < until):
        until = until if number else perf_counter() + effort.seconds * len(paths)
        for name in [name for name in paths if name not in failed]:
            try:
                parts = paths[name]()
            except FAILURES as error:
                failed[name] = in_words(error)
            else:
                times[name] += [parts] if number >= 0 else []
        number += 1
        yield number + WARM_UP
    return Taken({n: own for n, own in times.items() if n not in failed}, failed)


@contextmanager
def from_files(line: Line, reel: Reel) -> Generator[Once]:
    """Take one clip after the other from its file to its class."""
    with reel.decoded(line) as clips:

        def once() -> dict[str, float]:
            started = perf_counter()
            clip = next(clips)
            arrived = perf_counter()
            parts = line.run([clip])
            return {DECODE: arrived - started, **parts, TOTAL: perf_counter() - started}

        yield once


def from_nothing(line: Line) -> Once:
    """Take blank inputs to a class, where there are no videos."""
    inputs = line.blank()
    return lambda: line.run_fed(inputs)


def from_tokens(line: Line, tokens: Mapping[str, Tensor]) -> Once:
    """Take stored tokens to a class, where there are no backbones."""

    def once() -> dict[str, float]:
        started = perf_counter()
        line.classify(tokens)
        return {CLASSIFY: perf_counter() - started}

    return once


def in_words(error: Exception) -> str:
    """Say why a path could not be run."""
    return first_line(error) if str(error) else "takes more memory than there is"


def throughput(line: Line, reel: Reel, effort: Effort, *, latency: float) -> float:
    """Give clips a second in batches, while others decode ahead; from a standing start.

    Args:
        line: The path.
        reel: The videos.
        effort: How long, and how many at a time.
        latency: Seconds that a clip takes by itself: how many are taken follows from it.

    Raises:
        VideoError: One can't be decoded any more.
    """
    batches = max(1, round(effort.seconds / (latency * effort.batch)))
    if latency * effort.batch < WARMED:
        with reel.decoded(line) as clips:
            line.run([next(clips)] * effort.batch)
    started, ahead = perf_counter(), effort.processes + effort.batch
    total = batches * effort.batch
    with reel.decoded(line, processes=effort.processes, ahead=ahead, clips=total) as clips:
        for _ in range(batches):
            line.run(list(islice(clips, effort.batch)))
    return total / (perf_counter() - started)


def _refuse_error(decoded: Decoded) -> DecodedClip:
    if isinstance(decoded, VideoError):
        raise decoded
    return decoded

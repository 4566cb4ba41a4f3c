"""One path's figures, but for its memory, from whatever of it is here."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from polyspace.data import reload
from polyspace.models.fusion import Distilled
from polyspace.train.cost import flops, routes, timing
from polyspace.train.cost.bench import Bench
from polyspace.train.cost.line import Line
from polyspace.train.cost.routes import Route
from polyspace.train.cost.rows import (
    CLASSIFY,
    DECODE,
    ENCODE,
    PREPROCESS,
    TOTAL,
    PathCost,
    Span,
)
from polyspace.train.cost.timing import Effort, Once, Taken, Times
from polyspace.train.sources import StoredClips

NEEDS_VIDEOS = (DECODE, PREPROCESS, TOTAL, "clips_per_second")
MEMORY = ("peak_memory_bytes", "batched_memory_bytes")
NEEDS_BACKBONES = (*NEEDS_VIDEOS, ENCODE, "parameters", "flops", *MEMORY)
"""What is missing of a path without them."""
EVERYTHING = (*NEEDS_BACKBONES, CLASSIFY)


@dataclass(frozen=True, eq=False)
class Path:
    """A way, put together as far as it goes here."""

    route: Route
    line: Line
    absent: str | None
    """Why some of its backbones aren't here."""


def put_together(
    listed: Sequence[Route], model: Distilled, table: Bench, clips: StoredClips
) -> dict[str, Path]:
    """Give every way its backbones, if they are here, and its classifier."""
    built = dict[str, Path]()
    for route in listed:
        absent = [table.absent[name] for name in route.backbones if name in table.absent]
        loaded = {} if absent else {name: table.encoders[name] for name in route.backbones}
        line = Line(loaded, routes.build(route, model), clips.views, clips.device)
        built[route.name] = Path(route, line, absent[0] if absent else None)
    return built


def latencies(
    paths: Mapping[str, Path], table: Bench, clips: StoredClips, effort: Effort
) -> Generator[int, None, Taken]:
    """Take one clip at a time along every path, in turns; yield the rounds that are done."""
    with ExitStack() as stack:
        ways = {name: _once(path, table, clips, stack) for name, path in paths.items()}
        return (yield from timing.in_turns(ways, effort))


def figures(path: Path, taken: Taken, table: Bench, effort: Effort) -> PathCost:
    """Count a path's work and weights, and time it in batches."""
    name = path.route.name
    if name in taken.failed:
        return _row(path.route, [], dict.fromkeys(EVERYTHING, taken.failed[name]))
    times = taken.times[name]
    if path.absent:
        return _row(path.route, times, dict.fromkeys(NEEDS_BACKBONES, path.absent))
    speed, missing = None, dict[str, str]()
    try:
        speed = _speed(path.line, times, table, effort)
    except timing.FAILURES as error:
        missing["clips_per_second"] = timing.in_words(error)
    if table.reel is None:
        missing |= dict.fromkeys(NEEDS_VIDEOS, table.missing[DECODE])
    return replace(
        _row(path.route, times, missing),
        parameters=_parameters(path.line),
        flops=flops.of_line(path.line, path.line.blank()),
        clips_per_second=speed,
    )


def _once(path: Path, table: Bench, clips: StoredClips, stack: ExitStack) -> Once:
    """Say how to take one clip along a path, from as far ahead as can be."""
    if path.absent:
        first = clips.rows(path.route.backbones)[: clips.views]
        tokens = {name: clips.tokens(name, first) for name in path.route.backbones}
        return timing.from_tokens(path.line, tokens)
    if table.reel is None:
        return timing.from_nothing(path.line)
    return stack.enter_context(timing.from_files(path.line, table.reel))


def _speed(line: Line, times: Times, table: Bench, effort: Effort) -> float | None:
    """Time a path in batches, if there are videos."""
    if table.reel is None:
        return None
    latency = Span.of([parts[TOTAL] for parts in times]).median / 1000
    return timing.throughput(line, table.reel, effort, latency=latency)


def _parameters(line: Line) -> int:
    inside = sum(reload.parameters(encoder.backbone) for encoder in line.encoders.values())
    return inside + sum(weight.numel() for weight in line.classifier.parameters())


def _row(route: Route, times: Times, missing: Mapping[str, str]) -> PathCost:
    parts = times[0] if times else {}
    return PathCost(
        name=route.name,
        kind=route.kind,
        words=route.words,
        backbones=route.backbones,
        parameters=None,
        flops=None,
        latency_ms={part: Span.of([own[part] for own in times]) for part in parts},
        clips_per_second=None,
        peak_memory_bytes=None,
        batched_memory_bytes=None,
        repeats=len(times),
        missing=missing,
    )

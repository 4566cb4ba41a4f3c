"""Measure what inference costs, along the fusion's path and along those that it replaces."""

from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import torch

from polyspace.data.featurize import named_folder
from polyspace.models.fusion import Distilled
from polyspace.progress import Progress
from polyspace.train.cost import bench, flops, memory, paths, routes, timing
from polyspace.train.cost.bench import Bench
from polyspace.train.cost.machine import processor
from polyspace.train.cost.memory import Job, Peak
from polyspace.train.cost.routes import Route
from polyspace.train.cost.rows import Cost, PathCost
from polyspace.train.cost.timing import Effort, Taken
from polyspace.train.sources import StoredClips

DEFAULT = Effort()


def measure(
    model: Distilled,
    clips: StoredClips,
    *,
    root: Path | None,
    weights: Sequence[str] = (),
    effort: Effort = DEFAULT,
) -> Generator[Progress, None, Cost]:
    """Run every path from video files to classes on this machine; say what it took.

    What can't be measured here is a stated gap, never an error: backbones whose weights aren't
    here, videos that are gone. Without videos, networks are timed over blank pictures; without
    a backbone, the end of its paths over its stored tokens.

    Args:
        model: What was distilled, on the device to measure on.
        clips: Features of its student and teachers, of the split whose videos are taken.
        root: Folder of the videos.
        weights: NAME=FOLDER, where backbones' weights lie if not where the store says.
        effort: How thoroughly.
    """
    started = perf_counter()
    names = (model.translator.student_name, *model.fusion.spec.teachers)
    listed = routes.routes(model, {name: clips.shape(name) for name in names})
    rounds = timing.WARM_UP + effort.repeats
    total = rounds + len(listed) + 1
    yield Progress(0, total, "loading backbones")
    table = bench.equip(clips, names, dict(map(named_folder, weights)), root, effort)
    ways = paths.put_together(listed, model, table, clips)
    taken = yield from _say(paths.latencies(ways, table, clips, effort), total)
    measured: list[PathCost] = []
    for done, (name, way) in enumerate(ways.items(), start=rounds):
        yield Progress(done, total, f"{name} in batches")
        measured.append(paths.figures(way, taken, table, effort))
    yield Progress(total - 1, total, "measuring memory")
    peaks = memory.of_paths(_jobs(listed, table))
    complete = tuple(_with_memory(row, peaks.get(row.name)) for row in measured)
    return _cost(complete, table, clips, effort, perf_counter() - started)


def _say(rounds: Generator[int, None, Taken], total: int) -> Generator[Progress, None, Taken]:
    """Turn rounds into signs of life."""
    while True:
        try:
            yield Progress(next(rounds), total, "one clip at a time")
        except StopIteration as end:
            return end.value


def _jobs(listed: Sequence[Route], table: Bench) -> dict[str, Job]:
    """Say what to run in fresh processes: the paths whose backbones are here."""
    return {
        route.name: Job(
            route=route,
            sources={name: table.sources[name] for name in route.backbones},
            setup=table.setup,
            threads=torch.get_num_threads(),
            clip=table.shown,
        )
        for route in listed
        if all(name in table.sources for name in route.backbones)
    }


def _with_memory(row: PathCost, peak: Peak | str | None) -> PathCost:
    """Add what was found of a path's memory, or why nothing was."""
    if peak is None:
        return row
    if isinstance(peak, Peak):
        left = {part: why for part, why in row.missing.items() if part not in paths.MEMORY}
        bytes_ = {"peak_memory_bytes": peak.one, "batched_memory_bytes": peak.batched}
        return replace(row, **bytes_, missing=left)
    return replace(row, missing={**row.missing, **dict.fromkeys(paths.MEMORY, peak)})


def _cost(
    rows: tuple[PathCost, ...],
    table: Bench,
    clips: StoredClips,
    effort: Effort,
    seconds: float,
) -> Cost:
    types = {encoder.setup.precision.compute for encoder in table.encoders.values()}
    return Cost(
        device=processor(clips.device),
        threads=torch.get_num_threads(),
        dtype=" and ".join(sorted(types)) or "fp32",
        batch=effort.batch,
        processes=effort.processes,
        views=clips.views,
        videos=len(table.reel.names) if table.reel else 0,
        paths=rows,
        flops=flops.WORDS,
        memory=memory.words(clips.device),
        missing={**table.absent, **table.missing},
        seconds=round(seconds, 1),
    )

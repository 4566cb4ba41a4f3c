"""Steps from a store beside steps of one batch in memory, and bf16 beside fp32."""

import copy
import statistics
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from polyspace.engine.loop import Step, Training
from polyspace.engine.recipe import Recipe
from polyspace.engine.workload import Workload
from polyspace.losses.mix import LossMix
from polyspace.models.converters import ConverterSpec, Translator
from polyspace.models.fusion import Fusion, FusionSpec
from polyspace.precision import resolve
from polyspace.train.batches import Division, divide
from polyspace.train.converter_workload import LOSSES, ConverterWorkload
from polyspace.train.fusion_workload import FusionWorkload, translated
from polyspace.train.recall import recall
from polyspace.train.sources import StoredClips
from tests.benchmarks.document import spread
from tests.benchmarks.speed_common import (
    CPU,
    GRIDS,
    STUDENT_DIM,
    TEACHERS,
    WARM,
    make_features,
)


@dataclass
class Source:
    """A workload whose scores are left out; with a batch, all its batches are that one."""

    workload: Any
    batch: Any = None

    def __post_init__(self) -> None:
        """Train a model of its own."""
        self.workload = copy.copy(self.workload)
        self.model = self.workload.model = copy.deepcopy(self.workload.model)
        self.steps = self.workload.steps

    def batches(self, epoch: int, *, start: int = 0) -> Iterator[Any]:
        if self.batch is None:
            return self.workload.batches(epoch, start=start)
        return repeat(self.batch, self.steps - start)

    def forward(self, batch: Any) -> Any:
        return self.workload.forward(batch)

    def loss(self, outputs: Any, batch: Any) -> Mapping[str, Tensor]:
        return self.workload.loss(outputs, batch)

    def score(self) -> Mapping[str, float]:
        return {}


@dataclass(frozen=True)
class Time:
    """What one step took, in milliseconds."""

    wall: float
    cpu: float
    """Of all threads."""


def section(folder: Path, asked: Namespace) -> str:
    """Time steps of both workloads on every grid; give a section."""
    lines, places = [], []
    for grid in asked.grids:
        home = folder / grid.replace(" ", "")
        clips, division = _stored(home, asked.clips, GRIDS[grid])
        makers = {"fusion": _fusion, "converters": _converters}
        for name, make in makers.items():
            workload = make(clips, division, home)
            lines.append(_line(f"{name}, {grid}", workload, asked))
            places.append(f"- {name}, {grid}: {_places(workload)}")
    head = (
        "| step | fp32, ms: from the store, of one batch | cached / one batch, fp32: wall, CPU "
        "| the same, bf16 | bf16 / fp32, steps/s: wall, CPU |"
    )
    table = "\n".join([head, "|---|---|---|---|---|", *lines])
    return f"""## Steps

Goals: cached / one batch in memory >= 0.9; bf16 / fp32 >= 1. {_models()}
Fusions take batches of 32, recalled from mapped files; converters (residual_mlp) batches of 128,
from the store. The four runs of a line take turns in every round, a block of steps each. "CPU" is
the same ratio of processor time, all threads together.

{table}

Where a float32 step's processor time goes (torch.profiler, one batch in memory):

{chr(10).join(places)}
"""


def _models() -> str:
    dims = ", ".join(str(dim) for dim in TEACHERS.values())
    return f"A student of {STUDENT_DIM} dimensions, teachers of {dims}."


def _stored(home: Path, clips: int, grid: tuple[int, int]) -> tuple[StoredClips, Division]:
    """Make a store and open it."""
    make_features(home, clips, grid)
    stored = StoredClips.find(home, dataset="toy", split="train", device=CPU)
    return stored, divide(stored, stored.rows(("stu",)), share=0.2, seed=0)


def _converters(clips: StoredClips, division: Division, home: Path) -> ConverterWorkload:
    """Make converters that nothing was solved for: their steps take as long."""
    specs = {
        name: ConverterSpec(
            source=clips.shape("stu"),
            target=clips.shape(name),
            kind="residual_mlp",
            reach=1,
            hidden=256,
        )
        for name in TEACHERS
    }
    losses = LossMix.parse(LOSSES)
    translator = Translator("stu", specs)
    return ConverterWorkload(translator, clips, division, losses=losses, batch=128, seed=0)


def _fusion(clips: StoredClips, division: Division, home: Path) -> FusionWorkload:
    """Make a fusion over the recalled outputs of arbitrary linear converters."""
    specs = {
        name: ConverterSpec(
            source=clips.shape("stu"), target=clips.shape(name), kind="linear", reach=0, hidden=1
        )
        for name in TEACHERS
    }
    inputs = recall(translated(clips, Translator("stu", specs)), clips.rows(("stu",)), home)
    fusion = Fusion(
        FusionSpec(
            student=clips.shape("stu"),
            teachers={name: clips.shape(name) for name in TEACHERS},
            class_names=clips.class_names,
            rank=64,
            dropout=0.5,
        )
    )
    return FusionWorkload(fusion, inputs, clips, division, batch=32, seed=0)


def _line(name: str, workload: Any, asked: Namespace) -> str:
    """Let the four runs take turns; give a line of the table."""
    batch = next(workload.batches(1))
    runs = {
        (flag, source): _run(Source(workload, batch if source == "one" else None), bf16=flag)
        for flag in (False, True)
        for source in ("stored", "one")
    }
    for steps in runs.values():
        _block(steps, WARM)
    size = max(2, round(asked.seconds * 1000 / _block(runs[False, "one"], 2).wall))
    rounds = [
        {key: _block(steps, size) for key, steps in runs.items()} for _ in range(asked.rounds)
    ]
    milliseconds = ", ".join(
        f"{statistics.median(times[False, source].wall for times in rounds):.1f}"
        for source in ("stored", "one")
    )
    return (
        f"| {name} | {milliseconds} | {_ratio(rounds, (False, 'one'), (False, 'stored'))} "
        f"| {_ratio(rounds, (True, 'one'), (True, 'stored'))} "
        f"| {_ratio(rounds, (False, 'stored'), (True, 'stored'))} |"
    )


def _run(source: Source, *, bf16: bool) -> Iterator[Step]:
    """Begin an endless training."""
    types = resolve("bf16" if bf16 else "fp32", CPU)
    recipe = Recipe(epochs=10**6, lr=1e-4)
    assert isinstance(source, Workload)
    training: Training[Any, Any] = Training(source, recipe, precision=types, device=CPU)
    return training.steps()


def _block(steps: Iterator[Step], count: int) -> Time:
    """Take some steps; give the mean time of one."""
    wall, cpu = perf_counter(), process_time()
    for _ in islice(steps, count):
        pass
    return Time((perf_counter() - wall) / count * 1e3, (process_time() - cpu) / count * 1e3)


def _ratio(rounds: Sequence[Mapping[Any, Time]], over: Any, under: Any) -> str:
    """Give ratios within rounds: of wall time with its spread, and of processor time."""
    wall = [times[over].wall / times[under].wall for times in rounds]
    cpu = [times[over].cpu / times[under].cpu for times in rounds]
    return f"{spread(wall)}, {statistics.median(cpu):.2f}"


def _places(workload: Any) -> str:
    """Name the operators that a step's time goes to."""
    steps = _run(Source(workload, next(workload.batches(1))), bf16=False)
    _block(steps, WARM)
    with profile(activities=[ProfilerActivity.CPU]) as watch:
        _block(steps, 3)
    spent = {event.key: event.self_cpu_time_total for event in watch.key_averages()}
    most = sorted(spent.items(), key=lambda item: -item[1])[:6]
    words = (f"{key.removeprefix('aten::')} {time / sum(spent.values()):.0%}" for key, time in most)
    return ", ".join(words)

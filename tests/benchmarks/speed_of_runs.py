"""Whole training commands over growing stores: how long they take, and what memory they hold."""

import json
import subprocess
import sys
import threading
from argparse import Namespace
from collections.abc import Generator
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from polyspace.engine.loop import Step
from polyspace.train import train_converter, train_fusion
from polyspace.train.train_converter import ConverterConfig
from polyspace.train.train_fusion import FusionConfig
from tests.benchmarks.speed_common import GRIDS, TEACHERS, make_features

UCF101 = 13_320
"""Clips of UCF101, all splits."""
EPOCHS = 10
LOOK_SECONDS = 0.02
"""Between two looks at the memory."""


def section(folder: Path, asked: Namespace) -> str:
    """Run converter and fusion commands over growing stores; give a section."""
    return f"""## Whole runs, and memory

Goals: {UCF101} clips x four models x {EPOCHS} epochs of converters in minutes; memory flat in the
number of clips N. Every run is one command's function in a process of its own. Converters are
residual_mlp in batches of 128, with one temporal neighbour each side.

{_pooled(folder / "many", asked.many)}
{_on_grid(folder, asked.grid_clips)}

Memory is the largest RssAnon of /proc/self/status in looks {LOOK_SECONDS} s apart, less what it
was before the command; one epoch, maps without neighbours, which are solved sooner.

| run | N; 2 N | MiB for N; for 2 N | 2 N / N |
|---|---|---|---|
{_memory(folder / "1x1", "1 x 1", asked.many // 2)}
{_memory(folder / "8x4", "8 x 4", asked.grid_clips)}
"""


def _pooled(home: Path, clips: int) -> str:
    """Run everything on one token a clip."""
    make_features(home, clips, GRIDS["1 x 1"])
    found = spawn("converters", home, epochs=EPOCHS)
    return (
        f"- 1 x 1, measured: {clips} clips, {EPOCHS} epochs, float32: "
        f"{_minutes(*found['all'])};\n"
        f"  of which until the closed-form start was scored {_minutes(*found['start'])}."
    )


def _on_grid(folder: Path, clips: int) -> str:
    """Run one epoch over N and 2 N clips of 8 x 4 tokens, and say what a whole run adds up to."""
    few, more = folder / "few", folder / "more"
    make_features(few, clips, GRIDS["8 x 4"])
    make_features(more, 2 * clips, GRIDS["8 x 4"])
    short, long, half = (
        spawn("converters", home, epochs=1, use_bf16=bf16)
        for home, bf16 in ((few, False), (more, False), (more, True))
    )
    lines = [
        f"- 8 x 4, added up from runs of one epoch over {clips} and {2 * clips} clips, for "
        f"{UCF101} clips and {EPOCHS} epochs:"
    ]
    for name, found in (("float32", long), ("bfloat16, the start in float32", half)):
        whole, starts, epochs = list[float](), list[float](), list[float]()
        for first, second, epoch in zip(
            short["start"], long["start"], found["epochs"], strict=True
        ):
            each = (second - first) / clips
            starts.append(first - each * clips + each * UCF101)
            epochs.append(epoch / (2 * clips) * UCF101 * EPOCHS)
            whole.append(starts[-1] + epochs[-1])
        lines.append(
            f"  {name}: {_minutes(*whole)}; start {_minutes(*starts)}, epochs {_minutes(*epochs)}."
        )
    return "\n".join(lines)


def _memory(folder: Path, grid: str, clips: int) -> str:
    """Run over N and 2 N clips; give lines of a table."""
    homes = {times * clips: folder / str(times) for times in (1, 2)}
    for count, home in homes.items():
        make_features(home, count, GRIDS[grid])
    lines = []
    for what, own in (("converters", {"reach": 0}), ("fusion", {})):
        one, two = (spawn(what, home, epochs=1, **own)["memory"] for home in homes.values())
        sizes = f"{clips}; {2 * clips} | {one:.0f}; {two:.0f} | {two / one:.2f}"
        lines.append(f"| {what}, {grid} | {sizes} |")
    return "\n".join(lines)


def spawn(what: str, home: Path, **settings: Any) -> dict[str, Any]:
    """Run a command in a process of its own, whose memory nobody has used before."""
    asked = [what, str(home), json.dumps(settings)]
    command = [sys.executable, "-m", "tests.benchmarks.speed_of_runs", *asked]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _child(what: str, home: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Run; give wall and processor seconds of start, epochs and all, and the largest memory."""
    with Watched() as memory:
        steps, begun = _command(what, home, settings), _clocks()
        started = [_clocks() for step in steps if isinstance(step, Step) and not step.done]
        clocks = [begun, *started, _clocks()]
    names = {"start": (0, 1), "epochs": (1, 2), "all": (0, 2)}
    seconds = {
        name: [late - early for early, late in zip(clocks[first], clocks[last], strict=True)]
        for name, (first, last) in names.items()
    }
    return {**seconds, "memory": memory.grown}


def _clocks() -> tuple[float, float]:
    return perf_counter(), process_time()


def _command(what: str, home: Path, settings: dict[str, Any]) -> Generator[Any, None, Path]:
    names, converters = tuple(TEACHERS), home / "converters"
    if what == "converters":
        own = {"features": home, "teachers": names, "resume": "never", "save_dir": converters}
        return train_converter.run(ConverterConfig.model_validate(own | settings))
    own = {
        "dataset": "toy",
        "root": home,
        "student": "stu",
        "teachers": names,
        "converters": converters / "converters.pt",
        "classes": 4,
        "use_cached_features": True,
        "save_dir": home / "fusion",
    }
    return train_fusion.run(FusionConfig.model_validate(own | settings))


class Watched:
    """Looks at this process's anonymous memory until the end of a block."""

    def __enter__(self) -> "Watched":
        self._before = self._most = _anonymous_mib()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def grown(self) -> float:
        """The largest, less what there was before, in MiB."""
        return self._most - self._before

    def _look(self) -> None:
        while not self._done.wait(LOOK_SECONDS):
            self._most = max(self._most, _anonymous_mib())


def _anonymous_mib() -> float:
    text = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if "RssAnon" in line) / 1024


def _minutes(wall: float, cpu: float) -> str:
    return f"{wall / 60:.1f} min ({cpu / 60:.1f} of processors)"


if __name__ == "__main__":
    _, _what, _home, _settings = sys.argv
    sys.stdout.write(json.dumps(_child(_what, Path(_home), json.loads(_settings))))

"""What tracking costs a training: python -m tests.benchmarks.tracking_cost.

    python -m tests.benchmarks.tracking_cost ROUNDS EPOCHS STEPS [off pass refuse hang]

The same steps with tracking off, on, and on while the server refuses or hangs. Rounds are short and
the order within them turns, so that what else the machine does falls on all alike: each round gives
the ratio of a training to the one without tracking beside it, and the median of these is given with
its interval (percentiles of 2,000 bootstrap samples; Efron & Tibshirani 1993, chapter 13). Counted
besides are the time that the training's own thread spends telling, and the processor time of the
threads that write, send and sample, as shares of the training's wall time.
"""

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch

from polyspace.config import Config
from tasks import tracking
from tasks.tracking import Tracker
from tests.support.faults import FaultProxy, mlflow_process

MODES = ("off", "pass", "refuse", "hang")


class Settings(Config):
    """A training that is only as long as it has to be."""

    epochs: int = 20


@dataclass(frozen=True)
class Cost:
    """One training."""

    mode: str
    seconds: float
    """Wall time of the training's steps and epochs, the run's opening and end left out."""
    told_seconds: float
    """Of these, spent telling."""
    worst_ms: float
    """The longest call."""
    helpers_seconds: float
    """Processor time of all threads but the training's, meanwhile."""
    processor_seconds: float
    """The same of all threads."""


def measure(mode: str, epochs: int, steps: int) -> Cost:
    """Train a small network, telling of each epoch as stages do."""
    torch.set_num_threads(1)
    model = torch.nn.Sequential(
        torch.nn.Linear(512, 1024), torch.nn.GELU(), torch.nn.Linear(1024, 64)
    )
    optimizer = torch.optim.AdamW(model.parameters())
    values = torch.randn(64, 512)
    told: list[float] = []
    with tracking.run("train", Settings(), f"cost-{mode}", Tracker(mode != "off")) as record:
        began, all_, cpu = time.perf_counter(), time.process_time(), _helpers()
        for epoch in range(1, epochs + 1):
            for _ in range(steps):
                optimizer.zero_grad()
                model(values).square().mean().backward()
                optimizer.step()
            start = time.perf_counter()
            record.metrics({f"loss/{name}": 1 / epoch for name in "abcdef"}, step=epoch)
            told.append(time.perf_counter() - start)
        seconds, helpers = time.perf_counter() - began, _helpers() - cpu
        processor = time.process_time() - all_
    return Cost(mode, seconds, sum(told), 1e3 * max(told), helpers, processor)


def table(costs: Sequence[Cost]) -> str:
    """Sum up the rounds by their medians."""
    lines = [
        "| tracking | wall s | of wall time off | of processor time off "
        "| telling, % of wall | longest call ms | other threads, % of wall |",
        "|---|---|---|---|---|---|---|",
    ]
    off = [cost for cost in costs if cost.mode == "off"]
    for mode in MODES:
        some = [cost for cost in costs if cost.mode == mode]
        if some:
            share = median(100 * cost.told_seconds / cost.seconds for cost in some)
            others = median(100 * cost.helpers_seconds / cost.seconds for cost in some)
            wall, worst = median(c.seconds for c in some), max(c.worst_ms for c in some)
            pairs = list(zip(some, off, strict=True))
            walls = interval([one.seconds / other.seconds for one, other in pairs])
            cpus = interval(
                [one.processor_seconds / other.processor_seconds for one, other in pairs]
            )
            lines.append(
                f"| {mode} | {wall:.2f} | {walls} | {cpus} | {share:.3f} | {worst:.1f} "
                f"| {others:.2f} |"
            )
    return "\n".join(lines)


def interval(ratios: Sequence[float]) -> str:
    """Give the median of some rounds' ratios, and between what it lies with 95 % confidence."""
    draw = np.random.default_rng(0)
    drawn = np.median(draw.choice(ratios, size=(2000, len(ratios))), axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return f"{median(ratios):.4f} [{low:.4f}, {high:.4f}]"


def run(rounds: int, epochs: int, steps: int, modes: Sequence[str] = MODES) -> list[Cost]:
    """Measure the modes in turns, after a training of each that isn't counted."""
    with tempfile.TemporaryDirectory() as folder, mlflow_process(Path(folder)) as port:
        proxy = FaultProxy(port)
        os.environ["POLYSPACE_SPOOL"] = f"{folder}/spool"
        os.environ["MLFLOW_TRACKING_URI"] = f"http://127.0.0.1:{proxy.port}"
        costs: list[Cost] = []
        for number in range(rounds + 1):
            first = number % len(modes)
            for mode in (*modes[first:], *modes[:first]):
                proxy.become("pass" if mode == "off" else mode)
                costs.append(measure(mode, epochs, steps))
        proxy.become("pass")
        proxy.close()
    return costs[len(modes) :]


def _helpers() -> float:
    """Give the processor time of all threads but this one, in seconds."""
    return time.process_time() - time.thread_time()


if __name__ == "__main__":
    rounds, epochs, steps = [int(word) for word in sys.argv[1:4]] or [30, 5, 20]
    versions = json.dumps({"torch": torch.__version__, "python": platform.python_version()})
    words = f"{rounds} rounds, {epochs} epochs of {steps} steps"
    found = run(rounds, epochs, steps, sys.argv[4:] or MODES)
    load = f"load {os.getloadavg()[0]:.1f} at the end"
    sys.stdout.write(f"{versions}\n{words}; {load}\n{table(found)}\n")

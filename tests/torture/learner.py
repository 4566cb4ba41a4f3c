"""A small training with everything that a run's state has, and a saver that does nothing else."""

import hashlib
import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import torch

# The first optimizer imports it, which takes seconds: long before that, the nursery has done so.
import torch._dynamo  # pyright: ignore[reportUnusedImport]
from torch import Tensor, nn

from polyspace.engine import checkpoint
from polyspace.engine.curves import Curves
from polyspace.engine.keeper import Keeper, KeepSettings
from polyspace.engine.loop import Step, Training
from polyspace.engine.recipe import Recipe
from polyspace.engine.selection import Best
from polyspace.precision import resolve
from polyspace.seeding import generator

CPU = torch.device("cpu")
SAVE_EVERY = 7
STATE_BYTES = 1_000_000


class Guess:
    """Guess a fixed network's answers, with dropout and running statistics, in random order."""

    steps = 32

    def __init__(self) -> None:
        draw = generator(0, "data")
        self.x = torch.randn(512, 16, generator=draw)
        self.y = (self.x @ torch.randn(16, 4, generator=draw)).tanh()
        torch.manual_seed(0)
        self.model = nn.Sequential(
            nn.Linear(16, 64), nn.BatchNorm1d(64), nn.GELU(), nn.Dropout(0.2), nn.Linear(64, 4)
        )

    def batches(self, epoch: int, *, start: int = 0) -> Iterator[Tensor]:
        """Draw an epoch's order."""
        order = torch.randperm(512, generator=generator(0, "order", epoch))
        return iter(order.split(16)[start:])

    def forward(self, batch: Tensor) -> Tensor:
        """Guess."""
        return self.model(self.x[batch])

    def loss(self, outputs: Tensor, batch: Tensor) -> dict[str, Tensor]:
        """Compare; one batch in a hundred is spoiled."""
        spoilt = float("nan") if int(batch.sum()) % 100 == 0 else 1.0
        return {"error": (outputs.float() - self.y[batch]).square().mean() * spoilt}

    def score(self) -> dict[str, float]:
        """Compare all."""
        return {"fit": -float((self.model(self.x) - self.y).square().mean())}


def learn(folder: Path, steps: int) -> Iterator[str]:
    """Train as the commands do; say every step's loss to the last bit, and what came of it."""
    work = Guess()
    recipe = Recipe(epochs=steps, max_steps=steps, accumulate=2, ema=0.99, lr=3e-3)
    training = Training(work, recipe, precision=resolve("bf16", CPU), device=CPU)
    curves, best = Curves(), Best()
    parts = {"training": training, "curves": curves, "best": best}
    with Keeper(folder, parts, {"steps": steps}, KeepSettings(save_every_steps=SAVE_EVERY)) as keep:
        for step in training.steps():
            curves.add(step)
            if step.scores:
                best.offer(step.scores["fit"], epoch=step.epoch, state=work.model.state_dict())
            keep.after(step)
            yield f"step {step.done} {_bits(step)}"
    kept = hashlib.sha256()
    for state in (best.state, work.model.state_dict()):
        for value in state.values():
            kept.update(value.numpy().tobytes())
    yield f"end {kept.hexdigest()} {best.epoch} {training.stepper.skipped} {len(curves.epochs)}"
    keep.finish()


def _bits(step: Step) -> str:
    values = [*step.losses.values(), *step.scores.values(), step.lr]
    return " ".join(value.hex() for value in values)


class Page:
    """A state all of whose values are the same number, so that a mixture would show."""

    def __init__(self) -> None:
        self.number = 0

    def state_dict(self) -> dict[str, Any]:
        """Fill the page."""
        values = torch.full((STATE_BYTES // 8,), float(self.number))
        return {"first": values, "second": values.clone(), "number": self.number}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on counting."""
        self.number = state["number"]


def save(folder: Path) -> Iterator[str]:
    """Save one state after the other, without end; say which is saved."""
    page = Page()
    with Keeper(folder, {"page": page}, {}, KeepSettings(save_every_steps=1)) as keep:
        for _ in count():
            page.number += 1
            keep.after(Step(1, page.number, -1, {}, 0.0, skipped=False))
            yield f"saved {page.number}"


def read(folder: Path) -> tuple[int, int]:
    """Load the newest state as a run would; give its number, and how many states there are.

    Raises:
        CheckpointError: It can't be loaded.
        ValueError: It is a mixture of several.
    """
    states = sorted(folder.glob("run_*.pt"))
    if not states:
        return 0, 0
    loaded = checkpoint.load(states[-1], "run")
    page = loaded["parts"]["page"]
    found = {*page["first"].tolist(), *page["second"].tolist(), page["number"], loaded["done"]}
    if len(found) != 1:
        raise ValueError(f"{states[-1].name} is a mixture of {sorted(found)}")
    return loaded["done"], len(states)


def say(lines: Iterator[str]) -> None:
    """Print each line with one system call, so that a kill leaves all of it or nothing."""
    for line in lines:
        os.write(1, f"{line}\n".encode())

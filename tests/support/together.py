"""Trainings that a process does alone, and that ranks do together: what each of them found."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from polyspace.engine import checkpoint
from polyspace.engine.keeper import Keeper, KeepSettings
from polyspace.engine.loop import Training
from polyspace.engine.recipe import Recipe
from polyspace.errors import ConfigError, RankError, StoppedError
from polyspace.losses.mix import LossMix
from polyspace.models.converters import ConverterKind, ConverterSpec, Translator
from polyspace.precision import PrecisionName, device_named, resolve
from polyspace.ranks import Ranks, joined, launched
from polyspace.seeding import generator
from polyspace.train import fit
from polyspace.train.batches import divide, shuffled
from polyspace.train.converter_workload import ConverterWorkload
from polyspace.train.fusion_workload import Inputs
from polyspace.train.recall import recall
from polyspace.train.sources import StoredClips

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
CLIPS, BATCH = 37, 7
"""Three ranks have shares of 3, 2 and 2 clips; the last batch has two, fewer than ranks."""
LOSSES = ("cosine=1", "info_nce=0.1", "vicreg=0.01", "relational=1", "linear_cka=1")
KINDS: tuple[ConverterKind, ...] = (
    "residual_mlp",
    "perceiver",
    "token_learner",
    "temporal_transformer",
)


class Curve:
    """A small network that learns a curve; some clips can be spoiled."""

    steps = -(-CLIPS // BATCH)

    def __init__(self, ranks: Ranks, *, spoiled: tuple[int, int] = (0, 0)) -> None:
        draw = generator(0, "data")
        self.x = torch.randn(CLIPS, 5, generator=draw)
        self.y = (self.x @ torch.randn(5, 2, generator=draw)).tanh()
        self.ranks, self.spoiled, self.epoch = ranks, spoiled, 0
        self.drawn: list[float] = []
        self.gathered: list[float] = []
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 2))

    def batches(self, epoch: int, *, start: int = 0):
        self.epoch = epoch
        rows = np.arange(CLIPS)
        order = shuffled(rows, BATCH, seed=0, epoch=epoch, start=start, ranks=self.ranks)
        return map(torch.from_numpy, order)

    def forward(self, batch):
        self.drawn.append(float(torch.rand(())))
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        self.gathered.extend(float(gradient.abs().sum()) for gradient in gradients)
        return self.model(self.x[batch])

    def loss(self, outputs, batch):
        epoch, clip = self.spoiled
        bad = self.epoch == epoch and bool((batch == clip).any())
        error = (outputs.float() - self.y[batch]).square().mean()
        return {
            "error": error * (float("nan") if bad else 1.0),
            "size": 0.01 * outputs.abs().mean(),
        }

    def score(self):
        return {"fit": -float((self.model(self.x) - self.y).square().mean())}


def training(work: Any, ranks: Ranks, compute: PrecisionName = "fp32", **changes: Any):
    recipe = Recipe.model_validate({"epochs": 3, "lr": 0.01, **changes})
    return Training(work, recipe, precision=resolve(compute, CPU), device=CPU, ranks=ranks)


def found(work: Any, steps: Any) -> dict[str, Any]:
    """Tell of each step, and the weights to the last bit."""
    told = [
        {**step.losses, **step.scores, "lr": step.lr, "skipped": step.skipped} for step in steps
    ]
    weights = {name: value.tolist() for name, value in work.model.state_dict().items()}
    return {"steps": told, "weights": weights}


def learn(ranks: Ranks, **changes: Any) -> dict[str, Any]:
    work = Curve(ranks)
    return found(work, training(work, ranks, **changes).steps())


def gather(ranks: Ranks) -> list[float]:
    """Look at the gradients that are there when the next of a step's batches comes."""
    work = Curve(ranks)
    list(training(work, ranks, accumulate=2, max_steps=1).steps())
    return work.gathered


def learn_spoiled(ranks: Ranks, compute: PrecisionName) -> dict[str, Any]:
    work = Curve(ranks, spoiled=(2, 7))
    run = training(work, ranks, compute)
    return {**found(work, run.steps()), "scale": run.stepper.scaler.get_scale()}


def learn_converters(ranks: Ranks, features: Path) -> dict[str, Any]:
    work = converters(ranks, features, "linear", LOSSES)
    return found(work, training(work, ranks).steps())


def converters(
    ranks: Ranks,
    features: Path,
    kind: ConverterKind,
    losses: tuple[str, ...] = ("cosine=1",),
    batch: int = 13,
) -> ConverterWorkload:
    """Make converters of one kind, started at their closed form."""
    clips = StoredClips.find(features, dataset="toy", split="train", device=CPU)
    division = divide(clips, clips.rows(("stu", "look")), share=0.2, seed=0)
    torch.manual_seed(0)
    source, target = clips.shape("stu"), clips.shape("look")
    spec = ConverterSpec(source=source, target=target, kind=kind, reach=1, hidden=8)
    translator = Translator("stu", {"look": spec})
    mix = LossMix.parse(losses)
    work = ConverterWorkload(
        translator, clips, division, losses=mix, batch=batch, seed=0, ranks=ranks
    )
    with torch.no_grad():
        fit.start(translator, clips, division)
    return work


def every_kind(ranks: Ranks, features: Path) -> dict[str, Any]:
    """Say of each kind whether its loss stays finite and its weights are the same on all ranks."""
    agree: dict[str, Any] = {}
    for kind in KINDS:
        work = converters(ranks, features, kind)
        agree[kind] = found(work, training(work, ranks, max_steps=3).steps())
    return agree


def go_on(ranks: Ranks, folder: Path) -> dict[str, Any]:
    """Stop after each step and go on from a file; the ranks draw something of their own."""
    whole = Curve(ranks)
    steps = list(training(whole, ranks).steps())
    same: list[bool] = []
    for stop in (1, 4, 9):
        first = Curve(ranks)
        begun = training(first, ranks)
        before, path = list(islice(begun.steps(), stop)), folder / f"run_{stop}.pt"
        if ranks.is_first:
            checkpoint.save(path, "run", begun.state_dict())
        ranks.wait()
        second = Curve(ranks)
        going = training(second, ranks)
        going.load_state_dict(checkpoint.load(path, "run"))
        same.append(before + list(going.steps()) == steps)
        same.append(first.drawn + second.drawn == whole.drawn)
        same.append(found(second, []) == found(whole, []))
    return {"same": same, "drawn": whole.drawn}


def begin(folder: Path) -> None:
    """Leave the state of a run of one process after seven steps."""
    run = training(Curve(Ranks()), Ranks())
    list(islice(run.steps(), 8))
    checkpoint.save(folder / "begun.pt", "run", run.state_dict())


def go_on_with_more(ranks: Ranks, folder: Path) -> dict[str, Any]:
    work = Curve(ranks)
    run = training(work, ranks)
    run.load_state_dict(checkpoint.load(folder / "begun.pt", "run"))
    return found(work, run.steps())


def stop(ranks: Ranks, folder: Path) -> dict[str, Any]:
    """Have SIGTERM come to the last rank alone."""
    work = Curve(ranks)
    run = training(work, ranks)
    said = ""
    try:
        with (
            Keeper(folder / "stopped", {"run": run}, {}, KeepSettings(), ranks) as keeper,
            closing(run.steps()) as steps,
        ):
            for step in steps:
                if step.done == 3 and ranks.rank == ranks.count - 1:
                    os.kill(os.getpid(), signal.SIGTERM)
                keeper.after(step)
    except StoppedError as error:
        said = str(error)
    ending = signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    states = sorted(path.name for path in (folder / "stopped").glob("*.pt"))
    return {"said": said, "ending": ending, "states": states}


def share_folder(ranks: Ranks, folder: Path) -> dict[str, Any]:
    """Recall what the ranks computed for each other."""
    asked: list[int] = []

    def view(rows):
        asked.extend(rows.tolist())
        own = torch.from_numpy(rows).float().view(-1, 1, 1, 1)
        return Inputs(own.expand(-1, 2, 4, 3), {"flow": -own.expand(-1, 2, 4, 5)})

    rows = np.arange(1, 150)
    with ranks.folder() as shared:
        recalled = recall(view, rows, shared, ranks)
        given, true = recalled(rows[::-1].copy()), view(rows[::-1].copy())
        same = torch.equal(given.translated["flow"], true.translated["flow"])
        same = same and torch.equal(given.student, true.student)
        name = str(shared)
    return {"same": same, "asked": len(asked) - len(rows) - 1, "folder": name}


def put_together(ranks: Ranks) -> dict[str, Any]:
    """Differentiate a mean of squares over clips of which each rank has a share."""
    own = torch.from_numpy(ranks.share(np.arange(5))).float()[:, None].requires_grad_()
    whole = ranks.whole(own)
    (whole.square().mean() * ranks.weight(len(own)) / ranks.count).backward()
    assert own.grad is not None
    return {"whole": whole.flatten().tolist(), "gradient": own.grad.flatten().tolist()}


def refusals(ranks: Ranks, features: Path) -> list[str]:
    """Ask for what several ranks can't do."""
    wrong: tuple[tuple[ConverterKind, int], ...] = (("dsconv", 128), ("linear", 1))
    said: list[str] = []
    for kind, batch in wrong:
        try:
            converters(ranks, features, kind, batch=batch)
        except ConfigError as error:
            said.append(str(error))
    return said


CASES: dict[str, Callable[[Ranks, Path, Path], Any]] = {
    "plain": lambda ranks, *_: learn(ranks),
    "accumulated": lambda ranks, *_: learn(ranks, accumulate=4, ema=0.9),
    "spoiled fp32": lambda ranks, *_: learn_spoiled(ranks, "fp32"),
    "spoiled fp16": lambda ranks, *_: learn_spoiled(ranks, "fp16"),
    "gather": lambda ranks, *_: gather(ranks),
    "converters": lambda ranks, features, _: learn_converters(ranks, features),
    "every kind": lambda ranks, features, _: every_kind(ranks, features),
    "go on": lambda ranks, _, folder: go_on(ranks, folder),
    "go on with more": lambda ranks, _, folder: go_on_with_more(ranks, folder),
    "stop": lambda ranks, _, folder: stop(ranks, folder),
    "folder": lambda ranks, _, folder: share_folder(ranks, folder),
    "whole": lambda ranks, *_: put_together(ranks),
    "refusals": lambda ranks, features, _: refusals(ranks, features),
}


def main(features: Path, folder: Path) -> None:
    """Do everything; the last rank then leaves without a word, and the others say what they see."""
    told = folder / f"rank_{launched().rank}.json"
    results: dict[str, Any] = {}
    try:
        with joined(device_named("cpu")) as ranks:
            results = {name: case(ranks, features, folder) for name, case in CASES.items()}
            told.write_text(json.dumps(results))
            if ranks.rank == ranks.count - 1:
                os._exit(0)
            while True:
                ranks.wait()
    except RankError as error:
        told.write_text(json.dumps({**results, "lost": str(error)}))


def torchrun(*command: str, processes: int = 2) -> "subprocess.Popen[str]":
    """Start a module's command in several processes on this machine."""
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    run += [f"--nproc_per_node={processes}", "-m", *command]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        run,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

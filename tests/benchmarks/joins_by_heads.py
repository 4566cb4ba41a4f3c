"""Every way of joining teachers under every classifier: test accuracy, beside the student alone.

python -m tests.benchmarks.joins_by_heads --features runs/demo/features
    --converters runs/demo/converters/converters.pt --out docs/benchmarks/NAME.md

Each cell trains once a seed, on translations that are computed once for all of them; the seed also
decides what is held out to select the epoch. The test split is scored once a trained model, and no
setting was chosen by it. Means are over seeds; intervals are over the test split's groups, which
are resampled whole.
"""

import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import get_args

import numpy as np
import torch
from jaxtyping import Float64
from numpy import ndarray

from polyspace.engine import checkpoint
from polyspace.metrics.intervals import Estimate, bootstrap
from polyspace.models.converters import Translator
from polyspace.models.heads.kinds import HeadKind
from polyspace.models.joins.kinds import JoinKind
from polyspace.train.batches import divide
from polyspace.train.fusion_training import FusionSettings, best_of, make
from polyspace.train.fusion_workload import Inputs, Rows, predict, translated
from polyspace.train.recall import recall
from polyspace.train.sources import StoredClips
from tests.benchmarks.document import machine, publish

CPU = torch.device("cpu")
ALONE = "student alone"


@dataclass(frozen=True)
class Cell:
    """A join under a head, over all seeds."""

    top1: Estimate
    deviation: float
    """Over seeds."""
    seconds: float
    """Mean over seeds, of one training."""

    def __str__(self) -> str:
        """Write the mean, its interval, the seeds' deviation and the time."""
        top1 = self.top1
        return (
            f"{top1.value:.1%} [{top1.low:.1%}, {top1.high:.1%}] ± {self.deviation:.1%}, "
            f"{self.seconds:.0f} s"
        )


@dataclass(frozen=True, eq=False)
class World:
    """Both splits, and what fusions take of them."""

    translator: Translator
    train: StoredClips
    test: StoredClips
    recalled: Callable[[Rows], Inputs]

    @property
    def test_rows(self) -> Rows:
        """The test clips that the student has seen."""
        return self.test.rows((self.translator.student_name,))


def main() -> None:
    asked = parse()
    publish(table(asked), asked.out)


def parse(argv: list[str] | None = None) -> Namespace:
    """Read the command line."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--features", type=Path, required=True, help="folder of both splits")
    parser.add_argument("--converters", type=Path, required=True)
    joins, heads = get_args(JoinKind), get_args(HeadKind)
    parser.add_argument("--joins", nargs="+", choices=joins, default=joins)
    parser.add_argument("--heads", nargs="+", choices=heads, default=heads)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--depth", type=int, default=2, help="of an attentive head")
    parser.add_argument("--out", type=Path, help="the document")
    return parser.parse_args(argv)


def table(asked: Namespace) -> str:
    """Train and score every cell; give the document."""
    translator = Translator.from_record(checkpoint.load(asked.converters, "converters")).eval()
    train, test = (
        StoredClips.find(asked.features, dataset=None, split=split, device=CPU)
        for split in ("train", "test")
    )
    with tempfile.TemporaryDirectory() as folder:
        rows = train.rows((translator.student_name,))
        recalled = recall(translated(train, translator), rows, Path(folder))
        world = World(translator, train, test, recalled)
        lines = [_line(join, world, asked) for join in (None, *asked.joins)]
    return _document(lines, world, asked)


def _line(join: JoinKind | None, world: World, asked: Namespace) -> str:
    cells = [str(_cell(join, head, world, asked)) for head in asked.heads]
    return f"| {join or ALONE} | {' | '.join(cells)} |"


def _cell(join: JoinKind | None, head: HeadKind, world: World, asked: Namespace) -> Cell:
    hits, seconds = list[Float64[ndarray, " clip"]](), list[float]()
    for seed in range(asked.seeds):
        began = perf_counter()
        hits.append(_hits(join, head, world, asked, seed))
        seconds.append(perf_counter() - began)
    groups = tuple(world.test.groups[row] for row in world.test_rows)
    mean = np.mean(hits, axis=0)
    top1 = bootstrap(mean, groups, resamples=2000, random=np.random.default_rng(0))
    return Cell(top1, float(np.std([one.mean() for one in hits])), float(np.mean(seconds)))


def _hits(
    join: JoinKind | None, head: HeadKind, world: World, asked: Namespace, seed: int
) -> Float64[ndarray, " clip"]:
    """Train one model, and say which test clips it gets right."""
    settings = FusionSettings(
        epochs=asked.epochs,
        join=join or "gated",
        head=head,
        depth=asked.depth,
        seed=seed,
        device="cpu",
    )
    shapes = {name: spec.target for name, spec in world.translator.specs.items()}
    student = world.train.shape(world.translator.student_name)
    spec = settings.spec(student, shapes if join else {}, world.train.class_names)
    rows = world.train.rows((world.translator.student_name,))
    division = divide(world.train, rows, share=settings.hold_out, seed=seed)
    workload = make(spec, world.recalled, world.train, division, settings)
    fusion = best_of(workload, settings, settings.types(), CPU)
    given = translated(world.test, world.translator)
    said = predict(fusion, given, world.test_rows, batch=settings.batch)
    labels = world.test.labels[world.test_rows]
    return (said.logits.argmax(1).numpy() == labels).astype(np.float64)


def _document(lines: list[str], world: World, asked: Namespace) -> str:
    today = datetime.now(UTC)
    test = world.test
    rule = "|---" * (1 + len(asked.heads)) + "|"
    return "\n".join(
        (
            f"# Joins by heads, {today:%B %Y}",
            "",
            f"Command: `python -m tests.benchmarks.joins_by_heads --features {asked.features} "
            f"--converters {asked.converters}`. {today:%Y-%m-%d}; {machine()}, torch "
            f"{torch.__version__}, {torch.get_num_threads()} threads.",
            f"{test.dataset}: student {world.translator.student_name}, teachers "
            f"{', '.join(world.translator.specs)} (translated); {len(world.test_rows)} test clips "
            f"of {len(set(test.groups))} groups, chance {1 / len(test.class_names):.0%}; features "
            f"{test.fingerprint[:12]}.",
            f"{asked.seeds} seeds, {asked.epochs} epochs, attentive heads of {asked.depth} blocks; "
            f"everything else as train_fusion's defaults.",
            "",
            "Top-1 on the test split, mean over seeds [95 % over groups] ± deviation over seeds, "
            "and the time of one training.",
            "",
            f"| join | {' | '.join(asked.heads)} |",
            rule,
            *lines,
            "",
        )
    )


if __name__ == "__main__":
    main()

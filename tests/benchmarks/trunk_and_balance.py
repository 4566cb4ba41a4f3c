"""Converters behind a shared trunk, under every balance, beside converters without one.

python -m tests.benchmarks.trunk_and_balance --features runs/demo/features
    --student transnetv2 --teachers motion_vectors efficientnet_lite0

Each line trains all teachers together once a seed, which also decides what is held out to select
the epoch, and is scored once on the test split. Intervals are over the test split's groups, which
are resampled whole; gains are paired by clip and seed with the first line.
"""

import json
import platform
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import numpy as np
import torch
from jaxtyping import Float64
from numpy import ndarray

from polyspace.engine import checkpoint
from polyspace.metrics.intervals import bootstrap
from polyspace.models.converters import CLOSED_FORM, ConverterKind, Translator
from polyspace.models.normalizers import NormalizerKind
from polyspace.train import train_converter
from polyspace.train.balance import BalanceKind
from polyspace.train.converter_workload import LOSSES
from polyspace.train.sources import StoredClips
from polyspace.train.train_converter import ConverterConfig
from tests.benchmarks.converters_by_losses import CPU, finish, of_clips


@dataclass(frozen=True, eq=False)
class Trained:
    """All teachers' converters, trained once."""

    shares: Float64[ndarray, "teacher clip"]
    """What is explained of each test clip, as a share of the mean clip's variance."""
    last: tuple[float, ...]
    """R² of each teacher on the hold-out after the last epoch, whatever was kept."""
    epoch: str
    """Which was kept, or one a teacher."""


def main() -> None:
    asked = parse()
    sys.stdout.write(table(asked))


def parse(argv: list[str] | None = None) -> Namespace:
    """Read the command line."""
    kinds = [kind for kind in get_args(ConverterKind) if kind not in CLOSED_FORM]
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--features", type=Path, required=True, help="folder of both splits")
    parser.add_argument("--student", required=True)
    parser.add_argument("--teachers", nargs="+", required=True)
    parser.add_argument("--kind", choices=kinds, default="residual_mlp")
    parser.add_argument("--normalizer", choices=get_args(NormalizerKind), default="per_dimension")
    parser.add_argument("--losses", nargs="+", default=LOSSES)
    parser.add_argument("--trunk", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=64)
    return parser.parse_args(argv)


def table(asked: Namespace) -> str:
    """Train and score without a trunk and behind one, under every balance; give the document."""
    plain = seeds(0, "none", asked)
    lines = [_line("no trunk", plain, plain, asked)]
    for balance in get_args(BalanceKind):
        found = seeds(asked.trunk, balance, asked)
        lines.append(_line(f"trunk, {balance}", found, plain, asked))
    return "\n".join([*_head(asked), *lines]) + "\n"


def seeds(trunk: int, balance: BalanceKind, asked: Namespace) -> list[Trained]:
    """Train once a seed."""
    return [train(trunk, balance, seed, asked) for seed in range(asked.seeds)]


def train(trunk: int, balance: BalanceKind, seed: int, asked: Namespace) -> Trained:
    """Train, and score what was kept on the test split."""
    with TemporaryDirectory() as folder:
        config = ConverterConfig(
            features=asked.features,
            teachers=tuple(asked.teachers),
            student=asked.student,
            kind=asked.kind,
            normalizer=asked.normalizer,
            losses=tuple(asked.losses),
            trunk=trunk,
            balance=balance,
            hidden=asked.hidden,
            epochs=asked.epochs,
            batch=asked.batch,
            seed=seed,
            device="cpu",
            save_dir=Path(folder),
        )
        path = finish(train_converter.run(config))
        trained = checkpoint.load(path, "converters")
        epochs = json.loads(path.with_name("curves.json").read_text())["epochs"]
    translator = Translator.from_record(trained).eval()
    shares = np.stack([_shares(translator, name, asked) for name in asked.teachers])
    last = tuple(epochs[-1][f"r2/{name}"] for name in asked.teachers)
    return Trained(shares, last, _kept(trained["scores"], epochs))


def _shares(translator: Translator, teacher: str, asked: Namespace) -> Float64[ndarray, " clip"]:
    one = Namespace(
        features=asked.features, student=asked.student, teacher=teacher, space="normalised"
    )
    errors, variances = map(np.concatenate, zip(*of_clips(translator, one), strict=True))
    return 1 - errors / variances.mean()


def _kept(scores: dict[str, float], epochs: list[dict[str, float]]) -> str:
    """Name the epochs that were kept, in the order of the teachers."""
    found = [
        next(int(entry["epoch"]) for entry in epochs if entry[f"r2/{name}"] == score)
        for name, score in scores.items()
    ]
    return "/".join(map(str, found))


def _line(name: str, found: list[Trained], plain: list[Trained], asked: Namespace) -> str:
    """Fill a line: each teacher's R², its gain over no trunk, and what became of the last epoch."""
    groups = _groups(asked)
    cells = [name]
    for place, _ in enumerate(asked.teachers):
        ours = np.stack([one.shares[place] for one in found])
        gain = ours - np.stack([one.shares[place] for one in plain])
        cells += [_cell(ours, groups)] + ([_cell(gain, groups)] if found is not plain else ["—"])
    last = np.mean([one.last for one in found], axis=0)
    cells.append(" / ".join(f"{value:.3f}" for value in last))
    cells.append(", ".join(one.epoch for one in found))
    print(*cells, file=sys.stderr)  # noqa: T201
    return f"| {' | '.join(cells)} |"


def _cell(shares: Float64[ndarray, "seed clip"], groups: tuple[str, ...]) -> str:
    """Write the mean over seeds, its interval over groups, and the seeds' deviation."""
    random = np.random.default_rng(0)
    mean = bootstrap(shares.mean(axis=0), groups, resamples=2000, random=random)
    spread = float(np.std(shares.mean(axis=1)))
    return f"{mean.value:.3f} [{mean.low:.3f}, {mean.high:.3f}] ± {spread:.3f}"


def _groups(asked: Namespace) -> tuple[str, ...]:
    test = StoredClips.find(asked.features, dataset=None, split="test", device=CPU)
    rows = test.rows((asked.student, *asked.teachers))
    return tuple(test.groups[row] for row in rows)


def _head(asked: Namespace) -> list[str]:
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy"))
    columns = ["converters"]
    for teacher in asked.teachers:
        columns += [f"R² of {teacher}", "gain"]
    columns += ["R² on the hold-out after the last epoch", "epochs kept, by seed"]
    return [
        f"`{asked.kind}`, `--normalizer {asked.normalizer}`, `--losses {' '.join(asked.losses)}`, "
        f"trunk of {asked.trunk}, {asked.seeds} seeds, {asked.epochs} epochs, batches of "
        f"{asked.batch}, `--hidden {asked.hidden}`; {platform.machine()}, "
        f"{torch.get_num_threads()} thread(s); Python {platform.python_version()}, {libraries}; "
        f"{datetime.now(UTC):%Y-%m-%d}.",
        "",
        f"Command: `python -m tests.benchmarks.trunk_and_balance {' '.join(sys.argv[1:])}`",
        "",
        f"| {' | '.join(columns)} |",
        "|" + "---|" * len(columns),
    ]


if __name__ == "__main__":
    main()

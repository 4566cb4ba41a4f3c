"""Every kind of converter under every loss: the variance of a teacher that it explains.

python -m tests.benchmarks.converters_by_losses --features runs/demo/features
    --student transnetv2 --teacher motion_vectors --out docs/benchmarks/NAME.md

Each cell trains once a seed, which also decides what is held out to select the epoch, and is scored
once on the test split. Means are over seeds; intervals are over the test split's groups, which are
resampled whole.
"""

import platform
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import get_args

import numpy as np
import torch
from jaxtyping import Float64
from numpy import ndarray
from torch import Tensor

from polyspace.engine import checkpoint
from polyspace.metrics.intervals import Estimate, bootstrap
from polyspace.models.converters import CLOSED_FORM, ConverterKind, Translator
from polyspace.models.normalizers import NormalizerKind, origin
from polyspace.train import fit, train_converter
from polyspace.train.batches import in_order
from polyspace.train.sources import StoredClips
from polyspace.train.train_converter import ConverterConfig
from tests.benchmarks.document import publish
from tests.support.stages import finish

MIXES = (
    "cosine=0.9 smooth_l1=0.1",
    "l2=1",
    "l1=1",
    "cosine=1",
    "l2=1 pooled_info_nce=0.1",
    "l2=1 vicreg=0.02",
    "l2=1 barlow_twins=0.05",
    "l2=1 linear_cka=0.5",
    "l2=1 relational=0.5",
)
SOLVED = "solved, no loss"
CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class Explained:
    """What one trained converter explains of each test clip."""

    share: Float64[ndarray, " clip"]
    """One minus the clip's squared error over the mean clip's variance; their mean is R²."""
    seconds: float


@dataclass(frozen=True)
class Cell:
    """A kind under a mix of losses, over all seeds."""

    r2: Estimate
    spread: float
    """Standard deviation over seeds."""
    seconds: float
    """Mean over seeds, of fitting and training."""

    def __str__(self) -> str:
        """Write the mean, its interval and the seeds' deviation."""
        r2 = self.r2
        return f"{r2.value:.3f} [{r2.low:.3f}, {r2.high:.3f}] ± {self.spread:.3f}"


def main() -> None:
    asked = parse()
    text = table(asked)
    publish(text, asked.out)


def parse(argv: list[str] | None = None) -> Namespace:
    """Read the command line."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--features", type=Path, required=True, help="folder of both splits")
    parser.add_argument("--student", required=True)
    parser.add_argument("--teacher", required=True)
    kinds, normalizers = get_args(ConverterKind), get_args(NormalizerKind)
    parser.add_argument("--kinds", nargs="+", choices=kinds, default=kinds)
    parser.add_argument("--losses", nargs="+", default=MIXES, help="mixes, each in quotes")
    parser.add_argument("--normalizers", nargs="+", choices=normalizers, default=("per_dimension",))
    parser.add_argument("--space", choices=("normalised", "own"), default="normalised")
    parser.add_argument(
        "--beside", choices=CLOSED_FORM, help="a kind whose R² is taken off, clip by clip"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--out", type=Path, help="the document")
    return parser.parse_args(argv)


def table(asked: Namespace) -> str:
    """Train and score all that was asked for; give the document."""
    rows = [(kind, normalizer) for kind in asked.kinds for normalizer in asked.normalizers]
    lines = [_line(kind, normalizer, asked) for kind, normalizer in rows]
    return "\n".join([*_head(asked), *lines]) + "\n"


def cell(kind: ConverterKind, normalizer: NormalizerKind, mix: str, asked: Namespace) -> Cell:
    """Train once a seed, and put together what came of it."""
    found = [explain(kind, normalizer, mix, seed, asked) for seed in range(asked.seeds)]
    shares = [one.share for one in found]
    if asked.beside:
        others = [explain(asked.beside, normalizer, mix, s, asked) for s in range(asked.seeds)]
        shares = [ours - other.share for ours, other in zip(shares, others, strict=True)]
    mean = np.mean(shares, axis=0)
    test = StoredClips.find(asked.features, dataset=None, split="test", device=CPU)
    rows = test.rows((asked.student, asked.teacher))
    groups = tuple(test.groups[row] for row in rows)
    r2 = bootstrap(mean, groups, resamples=2000, random=np.random.default_rng(0))
    spread = float(np.std([share.mean() for share in shares]))
    return Cell(r2, spread, float(np.mean([one.seconds for one in found])))


def explain(
    kind: ConverterKind, normalizer: NormalizerKind, mix: str, seed: int, asked: Namespace
) -> Explained:
    """Train one converter, and score its best epoch on the test split."""
    with TemporaryDirectory() as folder:
        config = ConverterConfig(
            features=asked.features,
            teachers=(asked.teacher,),
            student=asked.student,
            kind=kind,
            normalizer=normalizer,
            hidden=asked.hidden,
            losses=tuple(mix.split()),
            epochs=asked.epochs,
            batch=asked.batch,
            seed=seed,
            device="cpu",
            save_dir=Path(folder),
        )
        began = perf_counter()
        path = finish(train_converter.run(config))
        seconds = perf_counter() - began
        translator = Translator.from_record(checkpoint.load(path, "converters")).eval()
    errors, variances = map(np.concatenate, zip(*of_clips(translator, asked), strict=True))
    return Explained(1 - errors / variances.mean(), seconds)


@torch.no_grad()
def of_clips(
    translator: Translator, asked: Namespace
) -> Iterator[tuple[Float64[ndarray, " clip"], Float64[ndarray, " clip"]]]:
    """Give each test clip's squared error, and its variance around the training mean."""
    test = StoredClips.find(asked.features, dataset=None, split="test", device=CPU)
    converter = translator[asked.teacher]
    own = converter.teacher
    for rows in in_order(test.rows((asked.student, asked.teacher)), fit.BATCH):
        said = converter(translator.student(test.tokens(asked.student, rows)))
        true, mean = fit.target(converter, test, asked.teacher, rows), origin(own)
        if asked.space == "own":
            said, true, mean = (own.inverse(tokens) for tokens in (said, true, mean))
        yield _squares(said - true), _squares(true - mean)


def _squares(tokens: Tensor) -> Float64[ndarray, " clip"]:
    return tokens.double().square().sum((1, 2, 3)).numpy()


def _line(kind: ConverterKind, normalizer: NormalizerKind, asked: Namespace) -> str:
    """Fill a line of the table; what is solved has one figure for all losses."""
    named = kind if len(asked.normalizers) == 1 else f"{kind}, {normalizer}"
    if kind in CLOSED_FORM:
        one = cell(kind, normalizer, asked.losses[0], asked)
        cells, seconds = [str(one), *[""] * len(asked.losses)], one.seconds
    else:
        trained = [cell(kind, normalizer, mix, asked) for mix in asked.losses]
        cells = ["", *map(str, trained)]
        seconds = float(np.mean([one.seconds for one in trained]))
    print(named, *cells, file=sys.stderr)  # noqa: T201
    return f"| {' | '.join([named, *cells, f'{seconds:.1f}'])} |"


def _head(asked: Namespace) -> list[str]:
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy"))
    beside = f"beyond that of {asked.beside}, paired by clip and seed, " if asked.beside else ""
    columns = ["converter", SOLVED, *asked.losses, "seconds"]
    return [
        f"R² {beside}of {asked.teacher} translated from {asked.student}, test split, in the "
        f"teacher's {asked.space} space: mean of {asked.seeds} seeds [95 % over groups] ± their "
        f"deviation; seconds of fitting and training, one seed.",
        "",
        f"`python -m tests.benchmarks.converters_by_losses {' '.join(map(_quoted, sys.argv[1:]))}`",
        "",
        f"{asked.epochs} epochs, batches of {asked.batch}, width {asked.hidden}; "
        f"{platform.machine()}, {torch.get_num_threads()} thread(s); "
        f"Python {platform.python_version()}, {libraries}; {datetime.now(UTC):%Y-%m-%d}.",
        "",
        f"| {' | '.join(columns)} |",
        "|" + "---|" * len(columns),
    ]


def _quoted(word: str) -> str:
    return f"'{word}'" if " " in word else word


if __name__ == "__main__":
    main()

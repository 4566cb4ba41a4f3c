"""Worlds in which fusing helps, and worlds in which it can't: how often the evaluation says which.

In both the student sees eight latent numbers of a clip under forty loud ones, turned so that every
dimension holds both, and the class is where the latents point. One teacher says the latents
themselves; the other says what no look at the clip could tell. Training clips are few, so that the
first teacher knows what the classifier can't find by itself.

``python -m tests.benchmarks.planted_signal --out docs/benchmarks/planted_signal.md``
"""

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from polyspace.models.grids import TokenShape
from polyspace.store.layout import ClipRows, StoreHeader
from polyspace.train import contenders, evaluate, evidence, scoring, train_converter, train_fusion
from polyspace.train.evaluate import EvaluateConfig
from polyspace.train.evidence import Terms
from polyspace.train.train_converter import ConverterConfig
from polyspace.train.train_fusion import FusionConfig
from tests.benchmarks.document import machine, publish
from tests.support.stages import finish
from tests.support.stores import spec_of, write_store

LATENT, LOUD, CLASSES = 8, 40, 4
LOUDNESS = 3.0
CLIPS = {"train": 160, "test": 400}
PER_GROUP = 4
LEVEL = 0.05
SEEDS = 3
"""Trainings of each model in each world. With one, two models that differ by the luck of their
training differ truly, and are rightly called so."""


@dataclass(frozen=True)
class Finding:
    """What the evaluation said of one world."""

    helps: bool
    seed: int
    fusion: float
    student: float
    difference: float
    low: float
    high: float
    p: float

    @property
    def significant(self) -> bool:
        """Say whether the fusion was called better."""
        return self.p < LEVEL and self.difference > 0


def world(seed: int, split: str, *, helps: bool) -> tuple[dict[str, Tensor], np.ndarray]:
    """Draw a split's tokens and classes; both splits of a seed are of one world."""
    fixed = torch.Generator().manual_seed(seed)
    turn = torch.linalg.qr(torch.randn(LATENT + LOUD, LATENT + LOUD, generator=fixed)).Q
    directions = torch.randn(LATENT, CLASSES, generator=fixed)
    drawn = torch.Generator().manual_seed(1000 * seed + len(split))
    latent = torch.randn(CLIPS[split], LATENT, generator=drawn)
    loud = LOUDNESS * torch.randn(CLIPS[split], LOUD, generator=drawn)
    teacher = latent if helps else torch.randn(CLIPS[split], LATENT, generator=drawn)
    tokens = {"stu": torch.cat([latent, loud], 1) @ turn, "tea": teacher}
    labels = (latent @ directions).argmax(1).numpy()
    return {name: each[:, None, None, None] for name, each in tokens.items()}, labels


def make(folder: Path, seed: int, split: str, *, helps: bool) -> None:
    """Write the store of a split."""
    tokens, labels = world(seed, split, helps=helps)
    count = CLIPS[split]
    rows = ClipRows(
        tuple(f"{split}-{row:04d}" for row in range(count)),
        tuple(f"{split}-g{row // PER_GROUP:03d}" for row in range(count)),
        labels,
    )
    names = tuple(f"c{number}" for number in range(CLASSES))
    specs = [
        spec_of(name, TokenShape(*each.shape[2:]), name == "stu") for name, each in tokens.items()
    ]
    write_store(
        folder / f"planted_{split}.zarr",
        StoreHeader("planted", split, names, 16, {"views": 1}),
        rows,
        specs,
        tokens,
    )


def finding(folder: Path, seed: int, *, helps: bool, seeds: int = SEEDS) -> Finding:
    """Train converters and fusion in one world, and evaluate the fusion beside the student."""
    for split in CLIPS:
        make(folder, seed, split, helps=helps)
    config = _trained(folder, seed)
    subject = evaluate.open_subject(config)
    own = contenders.method(subject.translator, subject.fusion.spec)
    alone = contenders.student(subject.translator, subject.fusion.spec)
    scored = [
        scoring.score(own, subject, seeds=seeds, first=subject.fusion),
        scoring.score(alone, subject, seeds=seeds),
    ]
    (compared,) = evidence.comparisons(scored, subject, Terms("", config.resamples, seed, seeds))
    first, second = (
        fmean(float((said.argmax(1) == subject.labels).mean()) for said in row.logits)
        for row in scored
    )
    told = compared["difference"]
    return Finding(
        helps, seed, first, second, told["value"], told["low"], told["high"], compared["p"]
    )


def _trained(folder: Path, seed: int) -> EvaluateConfig:
    converters = finish(
        train_converter.run(
            ConverterConfig(
                features=folder,
                teachers=("tea",),
                save_dir=folder / "c",
                kind="ridge",
                reach=0,
                epochs=1,
                device="cpu",
                seed=seed,
            )
        )
    )
    fused = finish(
        train_fusion.run(
            FusionConfig(
                dataset="planted",
                root=folder,
                use_cached_features=True,
                student="stu",
                teachers=("tea",),
                converters=converters,
                classes=CLASSES,
                epochs=20,
                rank=8,
                save_dir=folder / "f",
                device="cpu",
                seed=seed,
            )
        )
    )
    return EvaluateConfig(
        dataset="planted",
        features=folder,
        student="stu",
        teachers=("tea",),
        converters=converters,
        fusion=fused,
        out=folder / "e",
        device="cpu",
        seed=seed,
    )


def findings(seeds: Sequence[int], *, helps: bool) -> Iterator[Finding]:
    """Give what is found in the worlds of some seeds."""
    for seed in seeds:
        with TemporaryDirectory() as folder:
            yield finding(Path(folder), seed, helps=helps)


def table(found: Sequence[Finding]) -> str:
    """Sum both kinds of worlds up, and list all."""
    lines = [
        "| teacher | called better | fusion | student | mean difference |",
        "|---|---|---|---|---|",
    ]
    for helps, words in ((True, "knows the latents"), (False, "knows nothing of the clip")):
        own = [one for one in found if one.helps is helps]
        lines.append(
            f"| {words} | {sum(one.significant for one in own)} of {len(own)} "
            f"| {fmean(one.fusion for one in own):.1%} | {fmean(one.student for one in own):.1%} "
            f"| {100 * fmean(one.difference for one in own):+.1f} points |"
        )
    lines += [
        "",
        "| teacher | seed | fusion | student | points, 95 % | p |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *map(_line, found)])


def _line(one: Finding) -> str:
    low, value, high = (100 * share for share in (one.low, one.difference, one.high))
    return (
        f"| {'helps' if one.helps else 'does not'} | {one.seed} | {one.fusion:.1%} "
        f"| {one.student:.1%} | {value:+.1f} [{low:+.1f}, {high:+.1f}] | {one.p:.4f} |"
    )


def main() -> None:
    """Run all worlds and write the document."""
    parser = ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    found = [one for helps in (True, False) for one in findings(range(given.seeds), helps=helps)]
    publish(_document(found, given.seeds), given.out)


def _document(found: Sequence[Finding], seeds: int) -> str:
    today = datetime.now(UTC)
    return "\n".join(
        (
            f"# Planted signals, {today:%B %Y}",
            "",
            f"Command: `python -m tests.benchmarks.planted_signal --seeds {seeds}`. "
            f"{today:%Y-%m-%d}; {machine()}, torch {torch.__version__}, "
            f"{torch.get_num_threads()} threads.",
            "",
            f"{CLIPS['train']} training and {CLIPS['test']} test clips in groups of {PER_GROUP}, "
            f"{CLASSES} classes, chance {1 / CLASSES:.0%}; ridge converters, fusions of 20 epochs "
            f"with {SEEDS} seeds. Called better: the fusion is ahead of the student and the "
            f"two-sided p-value of the paired bootstrap over groups and seeds is below {LEVEL}; "
            f"where nothing helps, {LEVEL / 2:.1%} of all worlds may be called so by chance.",
            "",
            table(found),
            "",
        )
    )


if __name__ == "__main__":
    main()

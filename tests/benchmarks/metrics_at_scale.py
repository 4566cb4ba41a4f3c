"""How long all metrics of an evaluation take, and in how much memory, for a data set's whole size.

python -m tests.benchmarks.metrics_at_scale --out docs/benchmarks/metrics_cpu2_202611.md

Predictions and pooled vectors are made by the script: those of UCF101's 13,320 clips, a student of
1,024 dimensions, three teachers of 768 and as many translations. Every part runs once, in a process
of its own that makes nothing but what the part needs.
"""

import os
import resource
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from polyspace.metrics import alignment, calibration, classification, retrieval
from polyspace.metrics.intervals import Resampling, holm, mcnemar
from polyspace.metrics.label_order import label_order
from polyspace.train import atlas
from tests.benchmarks.document import machine, publish

STUDENT_DIM, TEACHER_DIM, CAUSES = 1024, 768, 96
TEACHERS = ("videomae", "timesformer", "vivit")
GOALS = "Goals: 5 minutes on 2 cores, 4 GB."


def main() -> None:
    asked = _asked()
    before = _load()
    measured = [(name, *spawn(name, asked)) for name in asked.only]
    publish(_document(measured, asked, before), asked.out)


def spawn(part: str, asked: Namespace) -> tuple[float, float, float]:
    """Run a part alone: its seconds, those of its processors, and its process's peak in MiB."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_timed, part, asked).result()


def predictions(asked: Namespace) -> None:
    """Score every method in every way, and compare the first with all others."""
    random = np.random.default_rng(0)
    labels = np.arange(asked.clips) % asked.classes
    groups = tuple(str(group) for group in np.arange(asked.clips) // max(1, asked.per_group))
    drawn = Resampling.draw(groups, seeds=asked.seeds, resamples=2000, random=random)
    hits = [_score(labels, drawn, asked, random) for _ in range(asked.methods)]
    wide = [each.astype(np.float64) for each in hits]
    p_values = [drawn.difference(wide[0], each).p for each in wide[1:]]
    for each in hits[1:]:
        mcnemar(hits[0][0], each[0])
    holm(p_values)


def _score(
    labels: np.ndarray, drawn: Resampling, asked: Namespace, random: np.random.Generator
) -> np.ndarray:
    """Score one method with all its seeds; its top-1 hits."""
    found = list[list[np.ndarray]]()
    for _ in range(asked.seeds):
        logits = random.normal(size=(asked.clips, asked.classes)).astype(np.float32)
        logits[np.arange(asked.clips), labels] += 2.5
        found.append([classification.hits(logits, labels, k=k) for k in (1, 5)])
        counts = classification.confusion(logits.argmax(1), labels, classes=asked.classes)
        classification.mean_class(counts)
        label_order(counts, random=random)
        confidence = calibration.softmax(logits).max(axis=1)
        calibration.expected_error(confidence, logits.argmax(1) == labels)
        calibration.negative_log_likelihood(logits, labels)
        calibration.brier(logits, labels)
    top1, top5 = np.array(found).swapaxes(0, 1)
    for each in (top1, top5):
        drawn.estimate(each.astype(np.float64))
    return top1


def translations(asked: Namespace) -> None:
    """Measure every translation by token, dimension and class, and as retrieval."""
    vectors = _vectors(asked)
    labels = np.arange(asked.clips) % asked.classes
    for teacher in TEACHERS:
        pair = [torch.from_numpy(vectors[name]) for name in (f"translated:{teacher}", teacher)]
        pairs = zip(*(each.split(256) for each in pair), strict=True)
        alignment.measure(
            ((translated, true) for translated, true in pairs),
            origin=torch.zeros(TEACHER_DIM),
            inverse=lambda values: values * 3 + 1,
            labels=labels,
            classes=asked.classes,
        )
        retrieval.retrieve(vectors[f"translated:{teacher}"], vectors[teacher])


def spaces(asked: Namespace) -> None:
    """Compare all spaces with each other."""
    atlas.measure(_vectors(asked), k=10, permutations=asked.permutations, seed=0)


PARTS: Mapping[str, Callable[[Namespace], None]] = {
    "predictions": predictions,
    "translations": translations,
    "atlas": spaces,
}


def _vectors(asked: Namespace) -> dict[str, np.ndarray]:
    """Make spaces that see the same causes, each with noise of its own."""
    random = np.random.default_rng(0)
    causes = random.normal(size=(asked.clips, CAUSES)).astype(np.float32)

    def seen(dims: int, noise: float) -> np.ndarray:
        mixed = causes @ random.normal(size=(CAUSES, dims)).astype(np.float32) / CAUSES**0.5
        mixed += noise * random.standard_normal(size=mixed.shape, dtype=np.float32)
        return mixed

    found = {"student": seen(STUDENT_DIM, 0.5)}
    for teacher in TEACHERS:
        found[teacher] = seen(TEACHER_DIM, 0.5)
        noise = random.standard_normal(size=found[teacher].shape, dtype=np.float32)
        found[f"translated:{teacher}"] = 0.8 * found[teacher] + 0.3 * noise
    return found


def _timed(part: str, asked: Namespace) -> tuple[float, float, float]:
    torch.set_num_threads(asked.threads)
    wall, processors = time.perf_counter(), time.process_time()
    PARTS[part](asked)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return time.perf_counter() - wall, time.process_time() - processors, peak


def _asked() -> Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--clips", type=int, default=13_320)
    parser.add_argument("--classes", type=int, default=101)
    parser.add_argument("--per-group", type=int, default=1, help="clips; 1 is the slowest")
    parser.add_argument("--methods", type=int, default=25)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--permutations", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2, help="of torch; numpy's: OMP_NUM_THREADS")
    parser.add_argument("--out", type=Path, help="the document")
    return parser.parse_args()


def _document(
    measured: list[tuple[str, float, float, float]], asked: Namespace, before: str
) -> str:
    lines = [
        f"| {name} | {wall:.0f} s | {processors:.0f} s | {peak:,.0f} MiB |"
        for name, wall, processors, peak in measured
    ]
    wall = sum(seconds for _, seconds, _, _ in measured)
    processors = sum(seconds for _, _, seconds, _ in measured)
    peak = max(memory for *_, memory in measured)
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    return f"""# All metrics of a whole data set, {datetime.now(UTC):%B %Y}

Command: `python -m tests.benchmarks.metrics_at_scale`; {datetime.now(UTC):%Y-%m-%d}; {machine()},
torch {version("torch")}, numpy {version("numpy")}, scipy {version("scipy")}; {asked.threads} torch
threads, OMP_NUM_THREADS {threads}. Load over 1, 5 and 15 minutes {before} at the beginning,
{_load()} at the end. One run: wall clock and processor time of each part, in a process of its own.

{GOALS}

{asked.clips:,} clips, {asked.classes} classes, groups of {asked.per_group}; {asked.methods} methods
with {asked.seeds} seeds; a student of {STUDENT_DIM:,} dimensions, {len(TEACHERS)} teachers of
{TEACHER_DIM} and as many translations; 2,000 resamples, {asked.permutations} permutations.

| part | wall | processors | peak memory |
|---|---|---|---|
{chr(10).join(lines)}
| **all** | **{wall:.0f} s** | **{processors:.0f} s** | **{peak:,.0f} MiB** |

- predictions: accuracies, confusion, calibration, likelihood, Brier score and the order of labels
  of every method and seed; bootstrap intervals; every method against the first with Holm's
  correction and McNemar.
- translations: R² and cosines by dimension and class, retrieval.
- atlas: {len(TEACHERS) * 2 + 1} spaces, all {(len(TEACHERS) * 2 + 1) * len(TEACHERS)} pairs: CKA,
  SVCCA, mutual k-NN and CKNNA with k = 10, ranks, chance.

A process that has only imported torch and made the data is part of every peak.
"""


def _load() -> str:
    return ", ".join(f"{value:.1f}" for value in os.getloadavg())


if __name__ == "__main__":
    sys.exit(main())

"""An alarm for labels whose numbers mean other classes than they did in training."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64
from numpy import ndarray
from scipy.optimize import linear_sum_assignment
from scipy.stats import binomtest

from polyspace.errors import MetricError

LEVEL = 1e-3
"""Chance of an alarm about labels in order that is put up with, in each of the two tests."""
MARGIN = 0.05
"""Accuracy that another order has to gain at least."""


@dataclass(frozen=True)
class LabelOrder:
    """Accuracy as it is, and under the best one-to-one renaming of the predicted classes."""

    accuracy: float
    relabelled: float
    """Best that any renaming gives on these clips; above `accuracy` by luck alone, too."""
    held_out: float
    """What renamings reach on clips that they were not chosen on: half of them, by turns."""
    p: float
    """Of `held_out` being no better than `accuracy`: one-sided sign test of clips that change."""
    alarm: bool
    """The order of the labels looks wrong."""
    renaming: tuple[int, ...]
    """Which class each predicted one best stands for; itself where nothing is wrong."""


def label_order(
    counts: Int64[ndarray, "true predicted"], *, random: np.random.Generator
) -> LabelOrder:
    """See whether another one-to-one order of the classes would explain the predictions better.

    The best renaming of K classes is chosen among K! and so always looks better than the labels,
    most of all for a classifier that knows nothing. Clips are therefore halved at random; each half
    chooses a renaming, and the other half is scored with it. The alarm is raised where that

    1. gains at least `MARGIN`,
    2. gains more clips than it loses, by a sign test at `LEVEL`, and
    3. is right more often than always naming the commonest class, by a binomial test at `LEVEL`:
       predictions that don't depend on the clip can't reach more, in whatever order.

    Two classes that are mostly taken for each other raise it too, where they hold enough clips:
    that can't be told from two labels that were swapped. Clips are taken to be independent.

    Args:
        counts: Clips by true and predicted class.
        random: Halves the clips.

    Raises:
        MetricError: No clips.

    Source: linear_sum_assignment of SciPy finds the renaming, as in the accuracy of clusterings.
    """
    clips = int(counts.sum())
    if not clips:
        raise MetricError("a confusion matrix without clips: score at least one clip")
    halves = _halves(counts, random)
    renamings = [_best(half) for half in halves[::-1]]
    pairs = list(zip(halves, renamings, strict=True))
    held_out = sum(_right(half, renaming) for half, renaming in pairs)
    accuracy = int(np.trace(counts))
    p = _p_of_gain(pairs)
    commonest = float(counts.sum(axis=1).max() / clips)
    above = binomtest(held_out, clips, commonest, alternative="greater").pvalue
    gains = held_out - accuracy >= MARGIN * clips
    best = _best(counts)
    return LabelOrder(
        accuracy=accuracy / clips,
        relabelled=_right(counts, best) / clips,
        held_out=held_out / clips,
        p=p,
        alarm=gains and p < LEVEL and float(above) < LEVEL,
        renaming=tuple(best.tolist()),
    )


def _halves(
    counts: Int64[ndarray, "true predicted"], random: np.random.Generator
) -> tuple[Int64[ndarray, "true predicted"], Int64[ndarray, "true predicted"]]:
    """Divide the clips in two at random."""
    half = random.multivariate_hypergeometric(counts.ravel(), int(counts.sum()) // 2)
    first = half.reshape(counts.shape)
    return first, counts - first


def _best(counts: Int64[ndarray, "true predicted"]) -> Int64[ndarray, " predicted"]:
    """Choose for each predicted class what it best stands for; itself where that is as good.

    A clip outweighs all bonuses on the diagonal, so that these settle nothing but ties.
    """
    size = len(counts)
    favoured = counts * (size + 1) + np.eye(size, dtype=np.int64)
    predicted, true = linear_sum_assignment(favoured.T, maximize=True)
    renaming = np.empty(size, np.int64)
    renaming[predicted] = true
    return renaming


def _right(counts: Int64[ndarray, "true predicted"], renaming: Int64[ndarray, " predicted"]) -> int:
    return int(counts[renaming, np.arange(len(counts))].sum())


def _p_of_gain(
    pairs: list[tuple[Int64[ndarray, "true predicted"], Int64[ndarray, " predicted"]]],
) -> float:
    """Test whether more clips become right by being renamed than become wrong."""
    gained, lost = 0, 0
    for half, renaming in pairs:
        moved = np.flatnonzero(renaming != np.arange(len(renaming)))
        gained += int(half[renaming[moved], moved].sum())
        lost += int(half[moved, moved].sum())
    if not gained + lost:
        return 1.0
    return float(binomtest(gained, gained + lost, alternative="greater").pvalue)

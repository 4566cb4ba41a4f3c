"""How sure an accuracy is, and a difference between two: over groups, because clips share them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt32
from numpy import ndarray
from scipy.stats import binomtest

from polyspace.errors import DatasetError, MetricError

LEVEL = 0.95
"""Share of the resamples that an interval holds."""
BLOCK = 1 << 20
"""Draws that are held at once: 8 MiB."""


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """How far one method is ahead of another on the same clips, with its 95 % interval."""

    value: float
    """Mean of the first less mean of the second."""
    low: float
    high: float
    p: float
    """Two-sided, of no difference: the interval excludes 0 where p is below 0.05."""


@dataclass(frozen=True, eq=False)
class Resampling:
    """Groups and seeds drawn with replacement: once, for every method that is estimated over them.

    Clips of one group (source video, picture) succeed and fail together; resampling clips would
    make the interval too narrow. Where a method was trained with several seeds, these are drawn
    too, independently of the groups. Two or three seeds are few to draw from: such intervals are
    too narrow by up to ``sqrt(1 - 1 / seeds)`` in the part that seeds account for.

    Source: Field & Welsh (2007), the cluster bootstrap; Owen (2007), the pigeonhole bootstrap, for
    groups and seeds together; percentile intervals.
    """

    member: Int64[ndarray, " clip"]
    """Which group each clip belongs to."""
    groups: UInt32[ndarray, "resample group"]
    """How often each group was drawn."""
    seeds: UInt32[ndarray, "resample seed"]
    """How often each seed was drawn; ones where there is only one."""

    @classmethod
    def draw(
        cls,
        groups: tuple[str, ...],
        *,
        seeds: int = 1,
        resamples: int,
        random: np.random.Generator,
    ) -> "Resampling":
        """Draw the groups of the clips, and the seeds.

        Raises:
            DatasetError: All clips belong to one group, whose resamples are all the same: the
                interval would be empty, and every difference certain.
        """
        names, member = np.unique(np.array(groups), return_inverse=True)
        if len(names) < 2:
            known = f"the group {groups[0]!r}" if groups else "no group"
            raise DatasetError(
                f"all {len(groups)} clips belong to {known}, but an interval over "
                f"groups needs at least two: test on clips of more sources"
            )
        counts = _counts(resamples, len(names), random)
        one = np.ones((resamples, 1), np.uint32)
        return cls(member, counts, one if seeds == 1 else _counts(resamples, seeds, random))

    def means(self, values: Float64[ndarray, "*seed clip"]) -> Float64[ndarray, " resample"]:
        """Give the mean over clips and seeds of every resample.

        Raises:
            MetricError: Values of other clips or seeds than were drawn, or no numbers.
        """
        table = np.atleast_2d(values)
        self._check(table)
        # Summed over groups first: a row's product is then as long as there are groups, not clips.
        columns = [np.bincount(self.member, weights=row) for row in table]
        sums = np.stack([*columns, np.bincount(self.member).astype(np.float64)], axis=1)
        rows = max(1, BLOCK // len(sums))
        parts = [self.groups[at : at + rows] @ sums for at in range(0, len(self.groups), rows)]
        drawn = np.concatenate(parts)
        return (drawn[:, :-1] * self.seeds).sum(axis=1) / (drawn[:, -1] * len(table))

    def estimate(self, values: Float64[ndarray, "*seed clip"]) -> Estimate:
        """Estimate the mean over clips and seeds.

        Raises:
            MetricError: See `means`.
        """
        low, high = _percentiles(self.means(values))
        return Estimate(float(values.mean()), low, high)

    def difference(
        self, first: Float64[ndarray, "*seed clip"], second: Float64[ndarray, "*seed clip"]
    ) -> Difference:
        """Estimate how far the first is ahead, clip by clip and seed by seed.

        The p-value is twice the share of the resamples that don't lie on the value's side of 0,
        those exactly at 0 and the data themselves counted among them: the interval, inverted.

        Raises:
            MetricError: See `means`.

        Source: Davison & Hinkley (1997), equation 4.11, for the added one; Efron & Tibshirani
        (1993), section 15.4, for the achieved level of a percentile interval.
        """
        values = first - second
        means = self.means(values)
        low, high = _percentiles(means)
        beyond = 1 + min(int((means <= 0).sum()), int((means >= 0).sum()))
        return Difference(float(values.mean()), low, high, min(1.0, 2 * beyond / (len(means) + 1)))

    def _check(self, values: Float64[ndarray, "seed clip"]) -> None:
        expected = self.seeds.shape[1], len(self.member)
        if values.shape != expected:
            raise MetricError(
                f"{values.shape[0]} seeds of {values.shape[1]} clips, but {expected[0]} seeds of "
                f"{expected[1]} clips were drawn: score the same clips with the same seeds"
            )
        if not np.isfinite(values).all():
            bad = int((~np.isfinite(values)).any(axis=0).sum())
            raise MetricError(
                f"the scores of {bad} of {values.shape[1]} clips are not numbers: count such clips "
                f"as wrong, or leave them out of every method"
            )


def bootstrap(
    values: Float64[ndarray, "*seed clip"],
    groups: tuple[str, ...],
    *,
    resamples: int,
    random: np.random.Generator,
) -> Estimate:
    """Estimate the mean over clips and seeds, resampling whole groups; see `Resampling`.

    Raises:
        DatasetError: All clips belong to one group.
        MetricError: Values that are no numbers, or that are as many as there are no groups.
    """
    seeds = len(np.atleast_2d(values))
    drawn = Resampling.draw(groups, seeds=seeds, resamples=resamples, random=random)
    return drawn.estimate(values)


def mcnemar(first: Bool[ndarray, " clip"], second: Bool[ndarray, " clip"]) -> float:
    """Give the exact two-sided p-value that two methods are right equally often.

    Source: McNemar (1947), in the exact binomial form; it takes clips to be independent.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    if not only_first + only_second:
        return 1.0
    return float(binomtest(only_first, only_first + only_second).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust the p-values of several comparisons, so that the level holds for all of them together.

    Args:
        p_values: In any order; the adjusted ones come in the same.

    Raises:
        MetricError: One is no probability.

    Source: Holm (1979), the step-down procedure; adjusted values after Wright (1992).
    """
    given = np.array(p_values, np.float64)
    if not ((given >= 0) & (given <= 1)).all():
        raise MetricError(f"{list(p_values)} are not all p-values from 0 to 1: see their tests")
    order = np.argsort(given, kind="stable")
    stepped = given[order] * np.arange(len(given), 0, -1)
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(stepped))
    return adjusted.tolist()


def _counts(
    resamples: int, size: int, random: np.random.Generator
) -> UInt32[ndarray, "resample drawn"]:
    """Draw as many as there are, with replacement, and count; block by block."""
    counts = np.empty((resamples, size), np.uint32)
    rows = max(1, BLOCK // size)
    for at in range(0, resamples, rows):
        block = counts[at : at + rows]
        drawn = random.integers(0, size, size=block.shape)
        drawn += np.arange(len(block))[:, None] * size
        block[:] = np.bincount(drawn.ravel(), minlength=block.size).reshape(block.shape)
    return counts


def _percentiles(means: Float64[ndarray, " resample"]) -> tuple[float, float]:
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(means, [tail, 100 - tail])
    return float(low), float(high)

"""How sure an accuracy is, and a difference between two: over groups, because clips share them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray
from scipy.stats import binomtest

from polyspace.errors import DatasetError


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float


def bootstrap(
    values: Float64[ndarray, " clip"],
    groups: tuple[str, ...],
    *,
    resamples: int,
    random: np.random.Generator,
) -> Estimate:
    """Estimate the mean over clips, resampling whole groups.

    Clips of one group (source video, picture) succeed and fail together; resampling clips would
    make the interval too narrow. For a paired comparison, pass the clips' differences.

    Raises:
        DatasetError: All clips belong to one group, whose resamples are all the same: the interval
            would be empty, and every difference certain.

    Source: Field & Welsh (2007), the cluster bootstrap; percentile interval.
    """
    names, member = np.unique(np.array(groups), return_inverse=True)
    if len(names) < 2:
        raise DatasetError(
            f"all {len(groups)} clips belong to the group {groups[0]!r}, but an interval over "
            f"groups needs at least two: test on clips of more sources"
        )
    sums = np.bincount(member, weights=values)
    sizes = np.bincount(member)
    means = np.empty(resamples)
    # One resample at a time: memory grows with the groups, not with groups times resamples.
    for place in range(resamples):
        drawn = random.integers(0, len(names), size=len(names))
        means[place] = sums[drawn].sum() / sizes[drawn].sum()
    low, high = np.percentile(means, [2.5, 97.5])
    return Estimate(float(values.mean()), float(low), float(high))


def mcnemar(first: Bool[ndarray, " clip"], second: Bool[ndarray, " clip"]) -> float:
    """Give the exact two-sided p-value that two methods are right equally often.

    Source: McNemar (1947), in the exact binomial form; it takes clips to be independent.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    if not only_first + only_second:
        return 1.0
    return float(binomtest(only_first, only_first + only_second).pvalue)

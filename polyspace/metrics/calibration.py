"""Whether probabilities mean what they say."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64
from numpy import ndarray

from polyspace.errors import MetricError

BINS = 15
"""Bins of equal width that confidences are sorted into. Source: Guo et al. (arXiv 1706.04599)."""


@dataclass(frozen=True)
class Bin:
    """A part of a reliability curve: the clips whose confidence is from low up to below high."""

    low: float
    high: float
    """The last bin holds confidences of exactly 1, too."""
    clips: int
    confidence: float | None
    """Mean; None where there are no clips, here and in the accuracy."""
    accuracy: float | None

    @property
    def gap(self) -> float:
        """Give how far confidence is above accuracy; 0 without clips."""
        if self.confidence is None or self.accuracy is None:
            return 0.0
        return self.confidence - self.accuracy


def softmax(logits: Float[ndarray, "clip label"]) -> Float64[ndarray, "clip label"]:
    """Turn logits into probabilities."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def reliability(
    confidence: Float64[ndarray, " clip"], correct: Bool[ndarray, " clip"], *, bins: int = BINS
) -> tuple[Bin, ...]:
    """Give mean confidence and accuracy of clips of like confidence, in bins of equal width.

    A confidence on an edge belongs to the bin above it, as in torchmetrics; 1 to the last bin,
    where torchmetrics gives it a bin of its own.

    Raises:
        MetricError: Confidences that aren't shares of one.

    Source: Guo et al. (arXiv 1706.04599), equations 1 and 2.
    """
    _check(confidence)
    edges = np.linspace(0, 1, bins + 1)
    where = np.minimum(np.searchsorted(edges, confidence, side="right") - 1, bins - 1)
    clips = np.bincount(where, minlength=bins)
    sums = [np.bincount(where, weights=each, minlength=bins) for each in (confidence, correct)]
    return tuple(
        Bin(low, high, count, *((total / count if count else None) for total in totals))
        for low, high, count, totals in zip(
            edges[:-1].tolist(),
            edges[1:].tolist(),
            clips.tolist(),
            np.stack(sums, axis=1).tolist(),
            strict=True,
        )
    )


def expected_error(
    confidence: Float64[ndarray, " clip"], correct: Bool[ndarray, " clip"], *, bins: int = BINS
) -> float:
    """Give the expected calibration error: how far confidence and accuracy are apart, on average.

    The mean gap of the `reliability` curve, weighted by clips.

    Raises:
        MetricError: See `reliability`.

    Source: Guo et al. (arXiv 1706.04599), equation 3, with bins of equal width.
    """
    curve = reliability(confidence, correct, bins=bins)
    return sum(part.clips * abs(part.gap) for part in curve) / len(confidence)


def negative_log_likelihood(
    logits: Float[ndarray, "clip label"], labels: Int64[ndarray, " clip"]
) -> float:
    """Give the mean of ``-log p`` of the true class, in nats; from logits, so that it stays finite.

    Raises:
        MetricError: Logits that are no numbers.
    """
    _check_logits(logits)
    wide = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    own = np.take_along_axis(wide, labels[:, None], axis=1)[:, 0]
    return float((np.log(np.exp(wide).sum(axis=1)) - own).mean())


def brier(logits: Float[ndarray, "clip label"], labels: Int64[ndarray, " clip"]) -> float:
    """Give the Brier score over all classes: 0 is certain and right, 2 certain and wrong.

    Raises:
        MetricError: Logits that are no numbers.

    Source: Brier (1950), equation 2.
    """
    _check_logits(logits)
    chances = softmax(logits)
    own = np.take_along_axis(chances, labels[:, None], axis=1)[:, 0]
    return float((np.square(chances).sum(axis=1) - 2 * own + 1).mean())


def _check(confidence: Float64[ndarray, " clip"]) -> None:
    if not len(confidence):
        raise MetricError("no clips: confidences of at least one are needed; score some first")
    bad = int((~((confidence >= 0) & (confidence <= 1))).sum())
    if bad:
        raise MetricError(
            f"{bad} of {len(confidence)} confidences are not shares of one: give probabilities, "
            f"of clips whose logits are numbers"
        )


def _check_logits(logits: Float[ndarray, "clip label"]) -> None:
    bad = int((~np.isfinite(logits)).any(axis=1).sum())
    if bad or not len(logits):
        raise MetricError(
            f"the logits of {bad} of {len(logits)} clips are not numbers: leave such clips out, or "
            f"score at least one"
        )

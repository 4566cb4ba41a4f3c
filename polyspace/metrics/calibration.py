"""Whether probabilities mean what they say."""

import numpy as np
from jaxtyping import Bool, Float, Float64
from numpy import ndarray


def softmax(logits: Float[ndarray, "clip label"]) -> Float64[ndarray, "clip label"]:
    """Turn logits into probabilities."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def expected_error(
    confidence: Float64[ndarray, " clip"], correct: Bool[ndarray, " clip"], *, bins: int = 15
) -> float:
    """Give the expected calibration error: how far confidence and accuracy are apart, on average.

    Source: Guo et al. (arXiv 1706.04599), equation 3, with bins of equal width.
    """
    where = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gaps = [
        abs(float(confidence[where == b].sum() - correct[where == b].sum())) for b in range(bins)
    ]
    return sum(gaps) / len(confidence)

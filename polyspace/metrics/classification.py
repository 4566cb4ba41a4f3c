"""How well classes are told apart. Logits are float, labels integer; results are shares of one."""

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64
from numpy import ndarray


def hits(
    logits: Float[ndarray, "clip label"], labels: Int64[ndarray, " clip"], *, k: int = 1
) -> Bool[ndarray, " clip"]:
    """Say for each clip whether its class is among the k likeliest.

    A class that ties with the k-th counts as behind it: constant logits recognise nothing for free.
    Neither do logits that are not a number.
    """
    own = np.take_along_axis(logits, labels[:, None], axis=1)
    # Not `logits >= own`: NaN compares false with everything, which would make it the likeliest.
    not_behind = (~(logits < own)).sum(axis=1)
    return not_behind <= k


def named(logits: Float[ndarray, "clip label"]) -> Int64[ndarray, " clip"]:
    """Give the likeliest class of each clip; -1 where none is: several are, or one isn't a number.

    `hits` of the first place are the clips that are called by their own class.
    """
    likeliest = logits.argmax(axis=1)
    return np.where(hits(logits, likeliest), likeliest, -1)


def confusion(
    predicted: Int64[ndarray, " clip"], labels: Int64[ndarray, " clip"], *, classes: int
) -> Int64[ndarray, "true predicted"]:
    """Count clips by true class (rows) and predicted class (columns)."""
    from sklearn.metrics import confusion_matrix  # takes seconds, and training counts hits alone

    return confusion_matrix(labels, predicted, labels=np.arange(classes)).astype(np.int64)


def per_class(counts: Int64[ndarray, "true predicted"]) -> Float64[ndarray, " label"]:
    """Give the accuracy of each class; NaN for classes without clips."""
    totals = counts.sum(axis=1)
    shares = np.full(len(counts), np.nan)
    np.divide(np.diagonal(counts), totals, out=shares, where=totals > 0)
    return shares


def mean_class(counts: Int64[ndarray, "true predicted"]) -> float:
    """Give the mean of the classes' accuracies, each class counting the same."""
    return float(np.nanmean(per_class(counts)))


def covered(correct: Bool[ndarray, " clip"], *, clips: int) -> float:
    """Give accuracy over all clips of the split: those that could not be read count as wrong."""
    return float(correct.sum()) / clips


def majority(train: Int64[ndarray, " train_clip"], test: Int64[ndarray, " clip"]) -> float:
    """Give the accuracy of always naming the training split's commonest class."""
    return float((test == np.bincount(train).argmax()).mean())

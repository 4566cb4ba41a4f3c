import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import special
from sklearn.metrics import brier_score_loss, log_loss
from torchmetrics.functional.classification import multiclass_calibration_error

from polyspace.errors import MetricError
from polyspace.metrics.calibration import (
    brier,
    expected_error,
    negative_log_likelihood,
    reliability,
    softmax,
)


def test_softmax_is_scipys_and_survives_logits_that_overflow_exp():
    logits = np.array([[1e4, 0.0, -1e4], [0.5, 0.25, -3.0]], np.float32)
    probabilities = softmax(logits)
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities, special.softmax(logits.astype(np.float64), axis=1))


def test_confidence_that_equals_accuracy_has_no_calibration_error():
    confidence = np.array([0.75] * 4 + [0.5] * 2)
    correct = np.array([True, True, True, False, True, False])
    assert expected_error(confidence, correct) == pytest.approx(0)


def test_certainty_that_is_always_wrong_has_the_largest_error():
    assert expected_error(np.ones(5), np.zeros(5, bool)) == 1


def test_bins_weigh_as_many_clips_as_they_hold():
    # Six clips at .9 that are always right (gap .1), two at .5 of which none is (gap .5).
    confidence = np.array([0.9] * 6 + [0.5] * 2)
    correct = np.array([True] * 6 + [False] * 2)
    assert expected_error(confidence, correct) == pytest.approx((6 * 0.1 + 2 * 0.5) / 8)


def test_over_and_underconfidence_cancel_inside_a_bin_but_not_between_bins():
    confidence, correct = np.array([0.4, 0.6]), np.array([True, False])
    assert expected_error(confidence, correct, bins=1) == pytest.approx(0)
    assert expected_error(confidence, correct, bins=2) == pytest.approx(0.6)


@pytest.fixture
def scored():
    """Four hundred clips of seven classes, with logits that are right about half the time."""
    random = np.random.default_rng(1)
    labels = random.integers(0, 7, size=400)
    logits = random.normal(size=(400, 7)).astype(np.float32) * 2
    logits[np.arange(400), labels] += 1.5
    return logits, labels


def ours(logits, labels, bins):
    return expected_error(softmax(logits).max(axis=1), logits.argmax(axis=1) == labels, bins=bins)


def theirs(logits, labels, bins):
    return multiclass_calibration_error(
        torch.from_numpy(softmax(logits)),
        torch.from_numpy(labels),
        num_classes=logits.shape[1],
        n_bins=bins,
        norm="l1",
    ).item()


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_the_calibration_error_is_that_of_torchmetrics(scored, bins):
    logits, labels = scored
    assert ours(logits, labels, bins) == pytest.approx(theirs(logits, labels, bins), abs=1e-6)


def test_a_confidence_of_one_joins_the_last_bin_which_torchmetrics_keeps_for_less_than_one():
    confidence, correct = np.array([0.95, 1.0]), np.array([True, False])
    assert expected_error(confidence, correct, bins=10) == pytest.approx((0.95 + 1 - 1) / 2)
    chances = torch.tensor([[0.95, 0.05], [1.0, 0.0]])
    error = multiclass_calibration_error(chances, torch.tensor([0, 1]), num_classes=2, n_bins=10)
    assert error.item() == pytest.approx((0.05 + 1) / 2)


def test_a_confidence_on_an_edge_belongs_to_the_bin_above():
    confidence = np.array([0.0, 0.25, 0.5, 0.75, 1.0, 0.499])
    curve = reliability(confidence, np.ones(6, bool), bins=4)
    assert [part.clips for part in curve] == [1, 2, 1, 2]
    assert [part.low for part in curve] == [0, 0.25, 0.5, 0.75]
    assert [part.high for part in curve] == [0.25, 0.5, 0.75, 1]


def test_the_curve_gives_each_bins_means_and_nothing_where_there_are_no_clips():
    confidence, correct = np.array([0.7, 0.9, 0.1]), np.array([True, False, True])
    empty, upper = (
        reliability(confidence, correct, bins=5)[1],
        reliability(confidence, correct, bins=2)[1],
    )
    assert (empty.clips, empty.confidence, empty.accuracy, empty.gap) == (0, None, None, 0)
    assert (upper.clips, upper.accuracy) == (2, 0.5)
    assert upper.confidence == pytest.approx(0.8)
    assert upper.gap == pytest.approx(0.3)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40))
def test_the_curve_holds_every_clip_once_and_its_error_is_a_share(clips):
    confidence = np.array([share for share, _ in clips])
    correct = np.array([right for _, right in clips])
    curve = reliability(confidence, correct)
    assert sum(part.clips for part in curve) == len(clips)
    assert 0 <= expected_error(confidence, correct) <= 1
    for part in curve:
        if part.confidence is not None:
            assert part.low - 1e-12 <= part.confidence <= part.high + 1e-12


def test_likelihood_and_brier_score_are_those_of_scikit_learn(scored):
    logits, labels = scored
    chances = softmax(logits)
    assert negative_log_likelihood(logits, labels) == pytest.approx(
        log_loss(labels, chances, labels=range(7)), abs=1e-6
    )
    assert brier(logits, labels) == pytest.approx(
        brier_score_loss(labels, chances, labels=range(7)), abs=1e-6
    )


def test_likelihood_stays_finite_where_the_probability_underflows():
    logits = np.array([[0.0, 2000.0]], np.float32)
    assert negative_log_likelihood(logits, np.array([0])) == 2000
    assert brier(logits, np.array([0])) == 2


def test_what_is_no_probability_is_refused():
    for wrong in (np.nan, -0.1, 1.1):
        with pytest.raises(MetricError, match="1 of 2 confidences are not shares of one"):
            expected_error(np.array([0.5, wrong]), np.array([True, True]))
    with pytest.raises(MetricError, match="no clips"):
        expected_error(np.zeros(0), np.zeros(0, bool))
    for score in (negative_log_likelihood, brier):
        with pytest.raises(MetricError, match="logits of 1 of 2 clips are not numbers"):
            score(np.array([[0, np.nan], [0, 1]]), np.array([0, 1]))

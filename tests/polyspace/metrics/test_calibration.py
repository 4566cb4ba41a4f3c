import numpy as np
import pytest
from scipy import special

from polyspace.metrics.calibration import expected_error, softmax


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

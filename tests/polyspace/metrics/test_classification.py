import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, top_k_accuracy_score
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_confusion_matrix

from polyspace.metrics.classification import (
    confusion,
    covered,
    hits,
    majority,
    mean_class,
    named,
    per_class,
)


@pytest.fixture
def scored():
    """Sixty clips of seven classes, with logits that are right about half the time."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 7, size=60)
    logits = random.normal(size=(60, 7)).astype(np.float32)
    logits[np.arange(60), labels] += 1.5
    return logits, labels


@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_share_of_hits_is_the_top_k_accuracy_of_scikit_learn(scored, k):
    logits, labels = scored
    assert hits(logits, labels, k=k).mean() == pytest.approx(
        top_k_accuracy_score(labels, logits, k=k, labels=np.arange(7))
    )


def test_a_tie_is_no_hit_so_constant_logits_recognise_nothing():
    logits = np.zeros((3, 4), np.float32)
    labels = np.array([0, 1, 3])
    assert not hits(logits, labels).any()
    assert not hits(logits, labels, k=3).any()
    assert hits(logits, labels, k=4).all()


@pytest.mark.parametrize("row", [[np.nan] * 3, [np.nan, 0, 0], [0, np.nan, 0], [np.inf] * 3])
def test_logits_that_are_not_numbers_are_never_a_hit(row):
    logits = np.array([row], np.float32)
    assert not hits(logits, np.array([0])).any()


def test_confusion_counts_true_classes_in_rows_and_keeps_classes_that_never_occur():
    counts = confusion(np.array([0, 2, 2, 1]), np.array([0, 0, 2, 2]), classes=4)
    assert counts.tolist() == [[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]


def test_a_class_without_clips_has_no_accuracy_and_does_not_lower_the_mean():
    counts = np.array([[3, 1, 0], [0, 0, 0], [0, 1, 1]])
    np.testing.assert_array_equal(per_class(counts), [0.75, np.nan, 0.5])
    assert mean_class(counts) == 0.625


def test_mean_class_accuracy_is_the_balanced_accuracy_of_scikit_learn(scored):
    logits, labels = scored
    predicted = logits.argmax(axis=1)
    assert mean_class(confusion(predicted, labels, classes=7)) == pytest.approx(
        balanced_accuracy_score(labels, predicted)
    )


def test_clips_that_could_not_be_read_count_as_wrong():
    assert covered(np.array([True, True, False]), clips=4) == 0.5


def test_the_majority_is_the_training_splits_not_the_test_splits():
    train, test = np.array([0, 0, 1]), np.array([1, 1, 1, 0])
    assert majority(train, test) == 0.25


@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_share_of_hits_is_the_top_k_accuracy_of_torchmetrics(scored, k):
    logits, labels = map(torch.from_numpy, scored)
    theirs = multiclass_accuracy(logits, labels, num_classes=7, top_k=k, average="micro")
    assert hits(*scored, k=k).mean() == pytest.approx(theirs.item(), abs=1e-6)


def test_per_class_accuracies_and_their_mean_are_those_of_torchmetrics(scored):
    logits, labels = scored
    predicted, true = torch.from_numpy(logits.argmax(axis=1)), torch.from_numpy(labels)
    counts = confusion(predicted.numpy(), labels, classes=7)
    np.testing.assert_array_equal(counts, multiclass_confusion_matrix(predicted, true, 7))
    each = multiclass_accuracy(predicted, true, num_classes=7, average="none")
    np.testing.assert_allclose(per_class(counts), each.numpy(), atol=1e-6)
    mean = multiclass_accuracy(predicted, true, num_classes=7, average="macro")
    assert mean_class(counts) == pytest.approx(mean.item(), abs=1e-6)


def test_the_class_that_is_named_is_the_likeliest_and_none_where_there_is_none():
    logits = np.array([[0.0, 2, 1], [3, 3, 0], [1, np.nan, 0], [0, 0, 0]])
    assert named(logits).tolist() == [1, -1, -1, -1]
    labels = np.array([1, 0, 0, 0])
    right = named(logits) == labels
    assert right.tolist() == hits(logits, labels).tolist()

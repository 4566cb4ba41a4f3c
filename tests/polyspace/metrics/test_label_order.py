from itertools import permutations

import numpy as np
import pytest

from polyspace.errors import MetricError
from polyspace.metrics.classification import confusion
from polyspace.metrics.label_order import label_order


def predictions(skill, labels, classes, random):
    """Predict right with a probability, and a class at random otherwise."""
    guesses = random.integers(0, classes, size=len(labels))
    return np.where(random.random(len(labels)) < skill, labels, guesses)


def seen(skill, *, clips, classes, seed, order=None):
    """Look at a classifier whose labels were put into another order."""
    random = np.random.default_rng(seed)
    labels = np.arange(clips) % classes
    predicted = predictions(skill, labels, classes, random)
    named = predicted if order is None else np.asarray(order)[predicted]
    return label_order(confusion(named, labels, classes=classes), random=random)


@pytest.mark.parametrize(("clips", "classes"), [(140, 10), (40, 4), (2020, 101), (30, 2)])
@pytest.mark.parametrize("skill", [0.0, 0.1, 0.5, 1.0])
def test_labels_in_order_raise_no_alarm_however_weak_the_classifier(skill, clips, classes):
    found = [seen(skill, clips=clips, classes=classes, seed=seed) for seed in range(40)]
    assert not any(order.alarm for order in found)
    assert all(order.relabelled >= order.accuracy for order in found)


@pytest.mark.parametrize(("clips", "classes"), [(140, 10), (2020, 101)])
@pytest.mark.parametrize("skill", [0.5, 0.8, 1.0])
def test_labels_out_of_order_raise_it_and_their_order_is_found(skill, clips, classes):
    for seed in range(10):
        order = np.random.default_rng(100 + seed).permutation(classes)
        found = seen(skill, clips=clips, classes=classes, seed=seed, order=order)
        assert found.alarm
        assert found.accuracy < found.held_out <= found.relabelled + 1e-12
        if skill == 1:
            assert np.array_equal(np.asarray(found.renaming)[order], np.arange(classes))
            assert found.relabelled == 1


def test_a_label_off_by_one_is_told_from_its_mistakes():
    found = seen(0.7, clips=300, classes=6, seed=0, order=[1, 2, 3, 4, 5, 0])
    assert found.renaming == (5, 0, 1, 2, 3, 4)
    assert found.alarm


def test_the_best_renaming_is_the_best_of_all():
    counts = np.random.default_rng(0).integers(0, 20, size=(5, 5))
    found = label_order(counts, random=np.random.default_rng(0))
    best = max(sum(counts[p[n], n] for n in range(5)) for p in permutations(range(5)))
    assert found.relabelled == best / counts.sum()


def test_a_tie_is_settled_for_the_labels_as_they_are():
    found = label_order(np.full((3, 3), 4), random=np.random.default_rng(0))
    assert found.renaming == (0, 1, 2)


def test_always_naming_the_training_splits_majority_is_not_an_order_of_labels():
    # Renaming the one class that is ever predicted to the commonest one gains 60 points.
    labels = np.repeat([0, 1, 2], [20, 160, 20])
    counts = confusion(np.zeros(200, np.int64), labels, classes=3)
    found = label_order(counts, random=np.random.default_rng(0))
    assert found.held_out - found.accuracy > 0.5
    assert found.p < 1e-3
    assert not found.alarm


def test_two_swapped_classes_of_many_gain_too_little_for_an_alarm():
    order = np.arange(101)
    order[[3, 7]] = order[[7, 3]]
    found = seen(0.9, clips=2020, classes=101, seed=0, order=order)
    assert found.renaming[3] == 7
    assert not found.alarm


def test_one_class_alone_and_one_clip_alone_are_in_order():
    assert not label_order(np.array([[5]]), random=np.random.default_rng(0)).alarm
    assert label_order(np.array([[0, 1], [0, 0]]), random=np.random.default_rng(0)).p == 1


def test_no_clips_are_refused():
    with pytest.raises(MetricError, match="without clips"):
        label_order(np.zeros((2, 2), np.int64), random=np.random.default_rng(0))

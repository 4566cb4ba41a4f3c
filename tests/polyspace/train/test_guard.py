"""Splits that can't be scored on are refused in one line; what they share is counted."""

from typing import Any

import numpy as np
import pytest
import torch

from polyspace.errors import DatasetError, DivergedError, LabelError, PolySpaceError, StoreError
from polyspace.train.guard import Overlap, check, overlap, refuse_undefined
from polyspace.train.sources import StoredClips
from tests.support.stores import make_store

CPU = torch.device("cpu")
CLASSES = ("c0", "c1", "c2")
BACKBONES = ("stu", "flow", "look")
NOTHING = Overlap(0, 0, 0, ())


@pytest.fixture
def split(features, tmp_path):
    """Make a split's store, if it is to be another one than usual, and open it."""

    def make(name, **changes):
        if not changes:
            return StoredClips.find(features, dataset="toy", split=name, device=CPU)
        sizes: dict[str, Any] = {"clips": 12, "groups": 6}
        make_store(tmp_path, name, **(sizes | changes))
        return StoredClips.find(tmp_path, dataset="toy", split=name, device=CPU)

    return make


def refused(train, test, error, message, classes=CLASSES):
    with pytest.raises(error, match=message) as raised:
        check(train, test, classes, BACKBONES)
    assert isinstance(raised.value, PolySpaceError)
    assert "\n" not in str(raised.value)


def test_splits_with_nothing_wrong_pass(split):
    train, test = split("train"), split("test")
    check(train, test, CLASSES, BACKBONES)
    assert overlap(train, test, BACKBONES) == NOTHING


def test_splits_of_other_numbers_of_views_pass(split):
    check(split("train", views=2), split("test", views=3), CLASSES, BACKBONES)


def test_classes_beyond_those_that_have_names_pass(split):
    check(split("train"), split("test"), (*CLASSES, "class_3"), BACKBONES)


def test_one_store_as_both_splits_is_refused(split):
    train = split("train")
    refused(train, train, StoreError, "given as both splits")


def test_a_copy_of_the_training_split_under_another_name_is_refused(split):
    copy = split("test", ids_of="train", looks_of="train")
    refused(split("train"), copy, DatasetError, "each of the 12 clips of toy test is in train, too")


def test_a_test_split_of_one_class_is_refused(split):
    test = split("test", classes=1, class_names=CLASSES)
    refused(split("train"), test, LabelError, "all 12 clips of toy test are of the class 'c0'")


def test_a_training_split_of_one_class_is_refused(split):
    train = split("train", classes=1, class_names=CLASSES)
    refused(train, split("test"), LabelError, "all 12 clips of toy train are of the class 'c0'")


def test_one_class_is_counted_among_clips_that_were_seen(split):
    test = split("test", clips=9, groups=9, quarantined=8)
    refused(split("train"), test, LabelError, "all 1 clips of toy test")


def test_one_group_is_refused_before_anything_is_trained(split):
    """Clips of one video, whose classes differ."""
    test = split("test", clips=12, groups=12)
    test.groups = ("video",) * 12
    refused(split("train"), test, DatasetError, "are of the group 'video'")


def test_clips_that_nobody_could_see_are_refused(split):
    test = split("test", clips=8, groups=4, quarantined=8)
    refused(split("train"), test, StoreError, r"not one of the 8 clips .*\(8 are quarantined\)")


def test_classes_in_another_order_are_refused(split):
    test = split("test", class_names=("c2", "c1", "c0"))
    refused(split("train"), test, LabelError, "class 0 of toy test is 'c2', but 'c0' to the model")


def test_training_classes_in_another_order_are_refused(split):
    train = split("train", class_names=("c0", "c2", "c1"))
    refused(train, split("test"), LabelError, "class 1 of toy train is 'c2', but 'c1'")


def test_labels_outside_of_the_models_classes_are_refused(split):
    test = split("test", classes=4, clips=12, groups=12)
    refused(split("train"), test, LabelError, "label outside")


def test_features_of_other_weights_are_refused(split):
    test = split("test", fingerprints={"look": "look-2"})
    refused(split("train"), test, StoreError, "look has weights from folder of look in train")


def test_features_on_another_grid_are_refused(split):
    test = split("test", teachers={"flow": (2, 4, 3), "look": (2, 1, 8)})
    refused(split("train"), test, StoreError, "flow has tokens of 4x4x3 in train and of 2x4x3 in")


def test_features_that_were_pooled_otherwise_are_refused(split):
    train, test = split("train", spatial="2"), split("test", spatial="full")
    refused(train, test, StoreError, r"stu saw train and test with other settings \(spatial\)")


def test_a_backbone_that_one_split_lacks_is_named(split):
    test = split("test", teachers={"flow": (4, 4, 3)})
    refused(split("train"), test, StoreError, "not look")


def test_shared_ids_and_groups_are_counted(split):
    """Twelve training clips lend their names to others."""
    test = split("test", ids_of="train", groups=12)
    assert overlap(split("train"), test, BACKBONES) == Overlap(
        12, 12, 0, ("train-000", "train-001", "train-002")
    )


def test_copies_under_other_names_are_found(split):
    train = split("train", clips=12)
    test = split("test", looks_of="train", clips=12)
    found = overlap(train, test, BACKBONES)
    assert (found.groups, found.ids, found.features) == (0, 0, 12)
    assert found.examples == ("test-000", "test-001", "test-002")


def test_copies_are_found_whatever_type_they_are_stored_in(split):
    train = split("train", clips=12, storage="float32")
    test = split("test", looks_of="train", clips=12, storage="float16")
    assert overlap(train, test, BACKBONES).features == 12


def test_a_clip_is_counted_once_however_many_views_it_shares(split):
    train = split("train", clips=12, views=2)
    test = split("test", looks_of="train", clips=12, views=2)
    assert overlap(train, test, BACKBONES).features == 12


def test_a_backbone_that_sees_nothing_makes_no_copies(split):
    """Motion vectors of two still clips are both zero; the other backbones tell them apart."""
    train, test = split("train"), split("test")

    def blind(whole):
        def summary(backbone, rows, **named):
            seen = whole(backbone, rows, **named)
            return torch.zeros_like(seen) if backbone == "flow" else seen

        return summary

    train.store.summary, test.store.summary = map(blind, (train.store.summary, test.store.summary))
    assert overlap(train, test, BACKBONES).features == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_method_that_says_nothing_is_named_with_the_clip(bad):
    logits = np.zeros((3, 2), np.float32)
    refuse_undefined("student", logits, ("a", "b", "c"))
    logits[1, 0] = bad
    with pytest.raises(DivergedError, match=r"student says NaN .* 1 of 3 test clips, first 'b'"):
        refuse_undefined("student", logits, ("a", "b", "c"))

from dataclasses import replace

import numpy as np
import pytest
import torch

from polyspace.errors import LabelError, StoreError
from polyspace.models.grids import TokenShape
from polyspace.train.sources import StoredClips, class_names
from tests.support.stores import make_store

CPU = torch.device("cpu")


def find(where, split="train", dataset=None):
    return StoredClips.find(where, dataset=dataset, split=split, device=CPU)


def test_stored_clips_say_what_the_store_says(train):
    assert (train.dataset, train.split, train.class_names) == ("toy", "train", ("c0", "c1", "c2"))
    assert len(train.ids) == len(train.groups) == len(train.labels) == 72


def test_the_student_is_the_one_that_was_extracted_as_such(train):
    assert train.student == "stu"


def test_tokens_are_float32_of_the_shape_that_is_said(train):
    tokens = train.tokens("look", np.array([4, 2]))
    assert train.shape("look") == TokenShape(2, 1, 8)
    assert tokens.shape == (2, 2, 1, 8)
    assert tokens.dtype == torch.float32
    torch.testing.assert_close(tokens[1:], train.tokens("look", np.array([2])))


def test_rows_are_those_that_all_backbones_have_seen(tmp_path):
    clips = find(make_store(tmp_path, "train", clips=20, quarantined=3))
    assert clips.rows(("stu", "look")).tolist() == list(range(17))


@pytest.mark.parametrize("ask", ["shape", "weights"])
def test_a_backbone_that_is_not_there_is_named_with_the_remedy(train, ask):
    with pytest.raises(StoreError, match="holds flow, look, stu, not depth: add it with"):
        getattr(train, ask)("depth")


def test_weights_are_what_the_store_recorded(train):
    assert train.weights("stu")["fingerprint"] == "stu-1"


def test_a_store_with_no_student_asks_for_one(train):
    specs = train.store.backbones
    train.store.backbones = {"flow": specs["flow"], "look": specs["look"]}
    with pytest.raises(StoreError, match="no backbone as student: say --student"):
        _ = train.student


def test_a_store_with_two_students_asks_which(train):
    specs = train.store.backbones
    student = specs["stu"].provenance
    train.store.backbones = {"stu": specs["stu"], "two": replace(specs["flow"], provenance=student)}
    with pytest.raises(StoreError, match="stu and two as student: say --student"):
        _ = train.student


def test_silent_error_14_the_test_split_is_never_taken_for_the_training_split(features):
    with pytest.raises(StoreError, match="is the test split of toy, expected the train split"):
        find(features / "toy_test.zarr", "train")


def test_of_several_data_sets_one_must_be_named(tmp_path):
    for dataset in ("one", "two"):
        make_store(tmp_path, "train", dataset=dataset, clips=16)
    with pytest.raises(StoreError, match=r"one_train\.zarr, two_train\.zarr: say which"):
        find(tmp_path)
    assert find(tmp_path, dataset="two").dataset == "two"


def test_class_names_are_those_of_the_data_set(train):
    assert class_names(train, 3) == ("c0", "c1", "c2")


def test_classes_that_the_data_set_lacks_get_numbers(train):
    assert class_names(train, 5) == ("c0", "c1", "c2", "class_3", "class_4")


def test_labels_outside_the_classes_are_refused(train):
    with pytest.raises(LabelError, match=r"--classes 2, but 24 clips of toy .* use --classes 3"):
        class_names(train, 2)


@pytest.fixture
def several(tmp_path):
    """Clips of which there are three views, and nothing of the last two clips."""
    return find(make_store(tmp_path, "train", clips=20, quarantined=2, views=3))


def test_every_view_of_a_clip_is_a_row(several):
    assert several.rows(("stu", "flow")).tolist() == list(range(18 * 3))
    assert len(several.ids) == len(several.groups) == len(several.labels) == 20 * 3
    assert several.ids[3:6] == ("train-001",) * 3
    assert several.labels[:6].tolist() == np.repeat(several.store.labels[:2], 3).tolist()


def test_a_rows_tokens_are_those_of_its_view(several):
    rows = np.array([7, 0, 2, 53])
    tokens = several.tokens("stu", rows)
    for place, row in enumerate(rows):
        clip, view = divmod(int(row), 3)
        expected = several.store.tokens("stu", np.array([clip]), view=view)
        assert torch.equal(tokens[place], expected[0])

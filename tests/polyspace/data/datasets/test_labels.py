from importlib.resources import files

import pytest

from polyspace.data.datasets import labels
from polyspace.errors import DatasetError, LabelError


@pytest.mark.parametrize(
    ("name", "count", "some"),
    [
        ("ucf101", 101, {0: "ApplyEyeMakeup", 36: "HandstandPushups", 100: "YoYo"}),
        ("hmdb51", 51, {0: "brush_hair", 35: "shoot_bow", 50: "wave"}),
        ("breakfast", 10, {2: "friedegg", 6: "salat", 8: "scrambledegg"}),
        ("ssv2", 174, {0: "Approaching something with your camera", 158: "Tipping something over"}),
        ("diving48", 48, {30: "Forward+Dive+NoTwis+STR", 47: "Reverse+Dive+NoTwis+TUCK"}),
        ("uav-human_train_v1", 89, {0: "P000", 1: "P002", 88: "P118"}),
        ("uav-human_train_v2", 89, {0: "P000", 1: "P003", 88: "P118"}),
    ],
)
def test_a_table_has_its_names_at_their_numbers(name, count, some):
    names = labels.table(name)

    assert len(set(names)) == len(names) == count
    assert {place: names[place] for place in some} == some


def test_every_shipped_table_has_a_checksum_and_says_where_it_is_from():
    shipped = [f for f in files("polyspace.data.datasets").joinpath("tables").iterdir()]

    assert {file.name for file in shipped} == {f"{name}.txt" for name in labels.CHECKSUMS}
    assert all("# Source: " in file.read_text() for file in shipped)


def test_a_changed_table_is_refused(monkeypatch):
    monkeypatch.setattr(labels, "CHECKSUMS", {**labels.CHECKSUMS, "ucf101": "0" * 64})

    with pytest.raises(
        DatasetError, match=r"ucf101\.txt .* sha256 916ce13e36fc.*install polyspace"
    ):
        labels.table("ucf101")


def test_a_data_set_without_a_table_has_no_official_order():
    assert labels.official("kinetics") is None


def test_labels_that_are_no_class_are_counted_and_named():
    named = [("a", "cat"), ("b", "cow"), ("c", "cow"), ("d", "emu")]

    with pytest.raises(
        LabelError, match=r"3 of 4 clips of farm have one of 2 labels .*'cow \(b\)'"
    ):
        labels.numbers("farm", named, ["cat", "dog"])


def test_labels_are_places_in_the_order_of_the_classes():
    assert labels.numbers("farm", [("a", "dog"), ("b", "cat")], ["cat", "dog"]) == [1, 0]

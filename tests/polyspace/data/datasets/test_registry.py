import pytest

from polyspace.data.datasets import registry
from polyspace.errors import DatasetError, UnknownNameError
from tests.support.ucf101 import make_ucf101


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_ucf101(tmp_path_factory.mktemp("ucf101"), groups=8, clips=1)


def test_the_data_sets_are_these():
    assert registry.NAMES == (
        "breakfast",
        "diving48",
        "folder-of-classes",
        "hmdb51",
        "kinetics",
        "manifest",
        "motion",
        "ssv2",
        "uav-human",
        "ucf101",
    )


def test_a_mirrored_clip_keeps_its_class_only_where_that_is_known():
    kept = {name for name in registry.NAMES if registry.may_flip(name)}

    assert kept == {"breakfast", "diving48", "hmdb51", "kinetics", "ucf101"}
    with pytest.raises(UnknownNameError, match="did you mean 'ucf101'"):
        registry.may_flip("ucf-101")


def test_ways_are_the_pairs_that_belong_together(folder):
    pairs = tuple((f"train{number}", f"test{number}") for number in ("01", "02", "03"))

    assert registry.ways("ucf101", folder) == pairs


def test_an_unknown_data_set_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(UnknownNameError, match="data set 'ucf-101': did you mean 'ucf101'"):
        registry.read("ucf-101", tmp_path, "train")


def test_an_unknown_split_is_refused(folder):
    with pytest.raises(UnknownNameError, match="split of ucf101 'train04'"):
        registry.read("ucf101", folder, "train04")


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="gone of data set ucf101 doesn't exist: check --root"):
        registry.read("ucf101", tmp_path / "gone", "train")


@pytest.mark.parametrize(("split", "group"), [("test", 1), ("test01", 1), ("test03", 5)])
def test_a_number_chooses_the_pair_of_lists(folder, split, group):
    assert registry.read("ucf101", folder, split).clips[0].group == f"ClassA_g{group:02d}"


def test_validation_is_a_part_of_train_and_never_of_test(folder):
    found = {split: registry.read("ucf101", folder, split) for split in ("train", "test")}
    part = registry.read("ucf101", folder, "validation")

    assert set(part.clips) < set(found["train"].clips)
    assert not set(part.clips) & set(found["test"].clips)
    assert {clip.label for clip in part.clips} == {0, 1}


def test_validation02_is_a_part_of_train02(folder):
    part = registry.read("ucf101", folder, "validation02").clips

    assert set(part) < set(registry.read("ucf101", folder, "train02").clips)


def test_official_splits_share_no_clip(folder):
    splits = registry.splits("ucf101", folder)

    assert splits == ("train", "test")
    train, test = ({c.id for c in registry.read("ucf101", folder, s).clips} for s in splits)
    assert not train & test


def test_motion_is_read_by_its_name(tiny_motion):
    assert registry.read("motion", tiny_motion, "test").dataset == "motion"

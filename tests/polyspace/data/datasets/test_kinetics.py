import pytest

from polyspace.data.datasets import kinetics, registry
from polyspace.errors import DatasetError, LabelError
from tests.support.layouts import make_kinetics, put, write_csv

HEADER = "label,youtube_id,time_start,time_end,split"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes; not to be written to."""
    return make_kinetics(tmp_path_factory.mktemp("kinetics"))


def one(root, *row, name="val"):
    """Write a list of one clip."""
    make_kinetics(root)
    write_csv(root / "annotations" / f"{name}.csv", HEADER, row)
    return root


def test_classes_are_the_labels_of_train_in_alphabetical_order(folder):
    for split in ("train", "validation", "test"):
        found = registry.read("kinetics", folder, split)
        assert found.class_names == ("riding a bike", "zumba")
        assert sorted(clip.label for clip in found.clips) == [0, 1]


def test_a_clip_is_called_by_its_video_and_its_seconds_in_whatever_folder(folder):
    train, part = (kinetics.read(folder, split) for split in ("train", "validation"))

    assert train.clips[0].id == "-aaaaaaaaa1_000000_000010"
    assert train.clips[0].path == "train/zumba/-aaaaaaaaa1_000000_000010.mp4"
    assert train.clips[0].group == "-aaaaaaaaa1"
    assert part.clips[0].path == "val/cccccccccc3_000005_000015.mp4"


def test_splits_are_those_that_have_a_list(folder, tmp_path):
    assert registry.splits("kinetics", folder) == ("train", "validation", "test")
    make_kinetics(tmp_path)
    lists = tmp_path / "annotations"
    (lists / "val.csv").rename(lists / "validate.csv")
    (lists / "test.csv").unlink()

    assert registry.splits("kinetics", tmp_path) == ("train", "validation")
    assert registry.read("kinetics", tmp_path, "validation").clips
    with pytest.raises(DatasetError, match=r"test\.csv is missing"):
        registry.read("kinetics", tmp_path, "test")


def test_without_a_validation_list_it_is_held_out_of_train(tmp_path):
    rows = [("zumba", f"aaaaaaaaa{n:02d}", 0, 10, "train") for n in range(10)]
    write_csv(tmp_path / "train.csv", HEADER, *rows)
    put(tmp_path, *(f"{row[1]}_000000_000010.mp4" for row in rows))

    part = registry.read("kinetics", tmp_path, "validation").clips

    assert len(part) == 2
    assert set(part) < set(registry.read("kinetics", tmp_path, "train").clips)


def test_a_deleted_video_stays_listed_for_the_quarantine(tmp_path):
    make_kinetics(tmp_path)
    (tmp_path / "train/zumba/-aaaaaaaaa1_000000_000010.mp4").unlink()

    assert kinetics.read(tmp_path, "train").clips[0].path == "-aaaaaaaaa1_000000_000010.mp4"


@pytest.mark.parametrize("label", ["knitting", ""])
def test_a_label_that_train_lacks_or_that_is_empty_is_refused(tmp_path, label):
    one(tmp_path, label, "cccccccccc3", 5, 15, "val")

    with pytest.raises(LabelError, match="1 of 1 clips"):
        kinetics.read(tmp_path, "validation")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("zumba", "../aaaaaaa", 5, 15, "val"), "expected a YouTube id and whole seconds"),
        (("zumba", "cccccccccc3", "x", 15, "val"), "expected a YouTube id and whole seconds"),
        (("zumba", "cccccccccc3", 5.5, 15, "val"), "expected a YouTube id and whole seconds"),
        (
            ("zumba", "cccccccccc3", 5, 15, "train"),
            "lists clips of the split 'train': expected 'val'",
        ),
        (("zumba", "cccccccccc3", 6, 16, "val"), "none of the 1 listed videos"),
    ],
)
def test_lists_that_are_none_are_refused(tmp_path, row, reason):
    with pytest.raises(DatasetError, match=reason):
        kinetics.read(one(tmp_path, *row), "validation")


def test_two_files_of_one_clip_are_refused(tmp_path):
    put(make_kinetics(tmp_path), "replacement/cccccccccc3_000005_000015.mp4")

    with pytest.raises(DatasetError, match="have the same name: keep one of them"):
        kinetics.read(tmp_path, "train")

import os

import pytest

from tasks import lineage


@pytest.fixture
def videos(tmp_path):
    """A folder of classes with one file each in both splits."""
    for split in ("train", "test"):
        for name in ("left", "right"):
            folder = tmp_path / "videos" / split / name
            folder.mkdir(parents=True)
            (folder / "1.mp4").write_bytes(b"not looked into")
    return tmp_path / "videos"


def digests(root, *splits):
    return {
        source.name: source.digest for source in lineage.videos("folder-of-classes", root, splits)
    }


def test_both_splits_are_named_and_equal_files_give_equal_names(videos):
    found = digests(videos)

    assert set(found) == {"train", "test"}
    assert digests(videos) == found
    assert digests(videos, "test") == {"test": found["test"]}


def test_a_video_of_another_size_changes_its_split_alone(videos):
    before = digests(videos)
    (videos / "test" / "left" / "1.mp4").write_bytes(b"longer than it was before")

    after = digests(videos)
    assert after["train"] == before["train"]
    assert after["test"] != before["test"]


def test_a_video_that_was_written_again_changes_its_split(videos):
    before = digests(videos)
    os.utime(videos / "train" / "left" / "1.mp4", (1, 1))

    assert digests(videos)["train"] != before["train"]


def test_a_store_is_named_by_its_content_wherever_it_lies(feature_stores, tmp_path):
    source = lineage.store(feature_stores / "motion_train.zarr")
    moved = feature_stores.rename(tmp_path / "elsewhere")

    again = lineage.store(moved / "motion_train.zarr")
    assert (source.name, source.digest) == ("train", again.digest)
    assert lineage.store(moved / "motion_test.zarr").digest != source.digest


def test_a_checkpoint_is_named_by_its_bytes(tmp_path):
    (tmp_path / "a.pt").write_bytes(b"weights")

    source = lineage.checkpoint(tmp_path / "a.pt", "converters")
    assert source.name == "converters"
    assert source.digest == "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"

import pytest

from polyspace.data.datasets import folder_of_classes
from polyspace.errors import DatasetError


def touch(root, *paths):
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return root


def test_folders_train_and_test_are_the_splits(tmp_path):
    touch(tmp_path, "train/cat/a.mp4", "train/dog/b.avi", "test/cat/a.mp4")

    train, test = (folder_of_classes.read(tmp_path, split) for split in ("train", "test"))

    assert [clip.path for clip in train.clips] == ["train/cat/a.mp4", "train/dog/b.avi"]
    assert [clip.path for clip in test.clips] == ["test/cat/a.mp4"]


def test_labels_are_the_same_in_both_splits_when_one_lacks_a_class(tmp_path):
    touch(tmp_path, "train/bird/a.mp4", "train/dog/b.mp4", "test/cat/c.mp4", "test/dog/d.mp4")

    train, test = (folder_of_classes.read(tmp_path, split) for split in ("train", "test"))

    assert train.class_names == test.class_names == ("bird", "cat", "dog")
    assert [clip.label for clip in train.clips] == [0, 2]
    assert [clip.label for clip in test.clips] == [1, 2]


def test_without_such_folders_a_quarter_of_each_class_is_the_test_split(tmp_path):
    touch(tmp_path, *(f"{name}/{number}.mp4" for name in ("cat", "dog") for number in range(8)))

    train, test = (folder_of_classes.read(tmp_path, split) for split in ("train", "test"))

    assert [sum(clip.label == label for clip in test.clips) for label in (0, 1)] == [2, 2]
    assert len({clip.id for clip in (*train.clips, *test.clips)}) == 16


def test_other_files_are_no_clips(tmp_path):
    touch(
        tmp_path, "train/cat/a.mp4", "train/cat/notes.txt", "train/.cache/x.mp4", "test/cat/b.MP4"
    )

    assert [c.path for c in folder_of_classes.read(tmp_path, "train").clips] == ["train/cat/a.mp4"]
    assert [c.path for c in folder_of_classes.read(tmp_path, "test").clips] == ["test/cat/b.MP4"]


def test_a_class_without_videos_is_refused(tmp_path):
    touch(tmp_path, "cat/a.mp4", "dog/notes.txt")

    with pytest.raises(DatasetError, match=r"dog holds no video: expected files in \.avi"):
        folder_of_classes.read(tmp_path, "train")


def test_a_folder_without_folders_is_refused(tmp_path):
    touch(tmp_path, "a.mp4")

    with pytest.raises(DatasetError, match="holds no folders: expected one for each class"):
        folder_of_classes.read(tmp_path, "train")

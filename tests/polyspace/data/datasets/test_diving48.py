import json

import pytest

from polyspace.data.datasets import diving48, labels, registry
from polyspace.errors import DatasetError, LabelError
from tests.support.layouts import make_diving48, write_json


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five classes of eight videos; not to be written to."""
    return make_diving48(tmp_path_factory.mktemp("diving48"))


def edit(root, **fields):
    """Change fields of the first two entries of the training list."""
    file = root / "Diving48_V2_train.json"
    entries = json.loads(file.read_text())
    for entry in entries[:2]:
        entry.update(fields)
    write_json(file, entries)


def test_labels_are_places_in_the_vocabulary_of_48_dives(folder):
    found = diving48.read(folder, "train")

    assert found.class_names == labels.table("diving48")
    assert {clip.label for clip in found.clips} == {0, 1, 2, 31, 47}


def test_clips_of_one_video_are_one_group(folder):
    clip = diving48.read(folder, "test").clips[0]

    assert (clip.id, clip.path) == ("video08_00000", "rgb/video08_00000.mp4")
    assert clip.group == "video08"


def test_validation_is_held_out_of_train_by_whole_videos(folder):
    train = registry.read("diving48", folder, "train").clips
    part = registry.read("diving48", folder, "validation").clips
    rest = set(train) - set(part)

    assert 0 < len(part) < len(train) / 2
    assert not {clip.group for clip in part} & {clip.group for clip in rest}
    assert not set(part) & set(registry.read("diving48", folder, "test").clips)


def test_what_is_held_out_has_every_class_and_ignores_that_the_list_is_sorted(folder, tmp_path):
    make_diving48(tmp_path, backwards=True)
    part, same = (registry.read("diving48", root, "validation") for root in (folder, tmp_path))

    assert {clip.label for clip in part.clips} == {0, 1, 2, 31, 47}
    assert set(part.clips) == set(same.clips)


@pytest.mark.parametrize("label", [48, -1, "3", True, None])
def test_labels_that_number_no_class_are_refused_with_their_number(tmp_path, label):
    edit(make_diving48(tmp_path), label=label)

    with pytest.raises(
        LabelError, match=r"2 of 40 clips .* a label outside 0\.\.47, first 'video00"
    ):
        diving48.read(tmp_path, "train")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"start_frame": 12}, "2 of 40 clips .* are no whole videos, .* frames 12 to 60"),
        ({"end_frame": 0}, "are no whole videos"),
        ({"vid_name": "holiday"}, "expected a vid_name <video>_<number>"),
        ({"vid_name": "../x_1"}, "leads out of its folder"),
    ],
)
def test_entries_that_are_none_are_refused(tmp_path, fields, reason):
    edit(make_diving48(tmp_path), **fields)

    with pytest.raises(DatasetError, match=reason):
        diving48.read(tmp_path, "train")


@pytest.mark.parametrize("content", [{}, [], [["Back", 1]], [["Back"], ["Back"]]])
def test_a_vocabulary_that_is_none_is_refused(tmp_path, content):
    make_diving48(tmp_path)
    write_json(tmp_path / "Diving48_vocab.json", content)

    with pytest.raises(DatasetError, match="expected different dives"):
        diving48.read(tmp_path, "train")


def test_a_folder_without_videos_is_refused(tmp_path):
    make_diving48(tmp_path)
    (tmp_path / "rgb").rename(tmp_path / "videos")

    with pytest.raises(DatasetError, match=r"none of the 40 listed videos .*<vid_name>\.mp4"):
        diving48.read(tmp_path, "train")

import hashlib
import json
from collections import Counter

import av
import numpy as np
import pytest

from polyspace.data.datasets import motion, motion_sources
from polyspace.data.decode import decode
from polyspace.errors import DatasetError
from tests.support.clips import ask, motion_of


def render(root, settings=motion.TINY):
    return list(motion.render(root, settings))


def digests(root):
    files = (file for file in sorted(root.rglob("*")) if file.is_file())
    return {str(f.relative_to(root)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def ages(root):
    return {file: file.stat().st_mtime_ns for file in root.rglob("*.*")}


def test_every_class_has_the_same_clips_in_both_splits(tiny_motion):
    for split in ("train", "test"):
        found = motion.read(tiny_motion, split)
        pictures = {clip.id.removeprefix(found.class_names[clip.label]) for clip in found.clips}
        assert found.class_names == motion.CLASS_NAMES
        assert Counter(clip.label for clip in found.clips) == dict.fromkeys(
            range(10), len(pictures)
        )


def test_no_picture_is_in_both_splits(tiny_motion):
    train, test = (
        {clip.group for clip in motion.read(tiny_motion, split).clips}
        for split in ("train", "test")
    )

    assert not train & test


def test_about_a_quarter_of_the_pictures_is_tested_on_photographs_and_videos_alike():
    index = motion._describe(motion.MotionSettings())
    shots = {(clip["shot"] is None, clip["split"]) for clip in index["clips"]}
    tested = sum(clip["split"] == "test" for clip in index["clips"])

    assert len(index["clips"]) == 600
    assert 0.2 < tested / 600 < 0.3
    assert shots == {(kind, split) for kind in (True, False) for split in ("train", "test")}


def test_the_index_says_where_every_pixel_comes_from(tiny_motion):
    index = json.loads((tiny_motion / "motion.json").read_text())

    assert index["sources"]["astronaut"]["file"] == "data/astronaut.png"
    assert all(len(source["sha256"]) == 64 for source in index["sources"].values())
    assert {clip["group"] for clip in index["clips"]} == set(index["sources"])
    assert all(0.15 <= clip["camera"]["speed"] <= 0.35 for clip in index["clips"])


def test_equal_settings_give_equal_files(tiny_motion, tmp_path):
    render(tmp_path)

    assert digests(tmp_path) == digests(tiny_motion)


def test_only_what_is_missing_is_rendered(tiny_motion, tmp_path):
    render(tmp_path)
    lost = sorted(tmp_path.rglob("*.mp4"))[3]
    lost.unlink()
    before = ages(tmp_path)

    progress = render(tmp_path)

    assert [(state.done, state.total) for state in progress] == [(40, 40)]
    assert digests(tmp_path) == digests(tiny_motion)
    assert before.items() <= ages(tmp_path).items()


def test_a_complete_data_set_costs_nothing(tiny_motion):
    assert render(tiny_motion) == []


def test_other_settings_never_overwrite(tiny_motion):
    other = motion.MotionSettings(pictures=4, takes=1, frames=8, width=64, height=48, seed=1)

    with pytest.raises(DatasetError, match="holds a motion data set of other settings"):
        render(tiny_motion, other)


def test_files_are_ordinary_h264_and_mpeg4(tiny_motion):
    codecs = set()
    for file in sorted(tiny_motion.rglob("*.*4")) + sorted(tiny_motion.rglob("*.avi")):
        with av.open(str(file)) as container:
            codecs.add((file.suffix, container.streams.video[0].codec_context.name))
            keys = [packet.is_keyframe for packet in container.demux(video=0) if packet.size]
        assert keys == [True] + [False] * 7

    assert codecs == {(".mp4", "h264"), (".avi", "mpeg4")}


def test_the_picture_runs_against_the_camera(tiny_motion):
    means = {}
    for split in ("train", "test"):
        found = motion.read(tiny_motion, split)
        for clip in found.clips:
            field = motion_of(decode(tiny_motion, ask(clip.path, motion_steps=1)))
            assert field is not None
            means.setdefault(found.class_names[clip.label], []).append(field.mean((0, 2, 3))[:2])

    way = {name: np.median(values, axis=0) for name, values in means.items()}
    assert way["pan_left"][0] > 0.5 > -0.5 > way["pan_right"][0]
    assert way["tilt_up"][1] > 0.5 > -0.5 > way["tilt_down"][1]
    assert np.abs(way["still"]).max() < 0.5


def test_a_folder_without_index_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(DatasetError, match=r"holds no motion\.json: render the data set first"):
        motion.read(tmp_path, "train")


def test_a_damaged_index_is_refused(tmp_path):
    (tmp_path / "motion.json").write_text('{"settings": ')

    with pytest.raises(DatasetError, match="is damaged"):
        motion.settings_of(tmp_path)


def test_missing_files_are_counted(tmp_path):
    index = motion._describe(motion.TINY)
    (tmp_path / "motion.json").write_text(json.dumps(index))

    with pytest.raises(DatasetError, match=r"20 of 20 clips are missing under .* first test/"):
        motion.read(tmp_path, "test")


def test_a_missing_package_is_named_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(motion_sources, "find_spec", lambda name: None)

    with pytest.raises(DatasetError, match=r'needs skimage, .* pip install "polyspace\[demo\]"'):
        render(tmp_path)

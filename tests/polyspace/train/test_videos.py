import shutil
from pathlib import Path

import pytest

from polyspace.data.views import Viewing
from polyspace.errors import ConfigError, DatasetError, VideoError
from polyspace.train import videos


def test_videos_are_found_as_the_features_saw_them(filmed):
    clips = filmed.clips()
    found = videos.find(clips, filmed.root)
    assert set(clips.ids) <= set(found.clips)
    assert found.viewing == Viewing()
    assert not found.allow_damaged


def test_no_folder_is_an_error_that_says_so(filmed):
    with pytest.raises(DatasetError, match="no folder of the videos was given"):
        videos.find(filmed.clips(), None)


def test_features_of_an_unknown_data_set_have_no_videos(test_clips, tmp_path):
    with pytest.raises(ConfigError, match="unknown data set 'toy'"):
        videos.find(test_clips, tmp_path)


def test_a_clip_that_is_gone_or_was_never_listed_is_a_video_error(filmed, tmp_path):
    root = Path(shutil.copytree(filmed.root, tmp_path / "videos"))
    found = videos.find(filmed.clips(), root)
    name = filmed.clips().ids[0]
    (root / found.clips[name].path).unlink()
    with pytest.raises(VideoError, match=name) as gone:
        found.decode(name, [])
    assert gone.value.reason == "missing"
    with pytest.raises(VideoError, match=r"elsewhere: the data set under .* lists no such clip"):
        found.decode("elsewhere", [])

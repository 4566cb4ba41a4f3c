import shutil
from pathlib import Path

import pytest

from polyspace.train.cost import bench
from polyspace.train.cost.timing import Effort
from tests.support.filmed import STUDENT

ALL = Effort(videos=9)


@pytest.fixture
def root(filmed, tmp_path):
    """A copy of the videos, to be changed."""
    return Path(shutil.copytree(filmed.root, tmp_path / "videos"))


def files_of(root):
    return sorted(root.glob("*/*_g01_*.avi"))


def test_a_sample_is_spread_over_the_split(filmed):
    clips = filmed.clips()
    table = bench.equip(clips, (STUDENT,), {}, filmed.root, Effort(videos=2))
    assert table.reel is not None
    assert table.reel.names == [clips.ids[0], clips.ids[-1]]
    assert table.shown is not None
    assert not table.missing


def test_videos_that_are_gone_are_left_out_and_named(filmed, root):
    first, *_ = files_of(root)
    first.unlink()
    table = bench.equip(filmed.clips(), (STUDENT,), {}, root, ALL)
    assert table.reel is not None
    assert len(table.reel.names) == 3
    assert "1 of 4 can't be decoded" in table.missing["videos"]
    assert first.name in table.missing["videos"]


def test_when_no_video_can_be_read_the_first_reason_is_said(filmed, root):
    for file in files_of(root):
        file.write_bytes(b"")
    table = bench.equip(filmed.clips(), (STUDENT,), {}, root, ALL)
    assert table.reel is table.shown is None
    assert table.missing["decode"].startswith("none of 4 videos can be decoded")
    assert files_of(root)[0].name in table.missing["decode"]


def test_a_folder_of_something_else_is_no_error(filmed, tmp_path):
    table = bench.equip(filmed.clips(), (STUDENT,), {}, tmp_path, ALL)
    assert table.reel is None
    assert str(tmp_path) in table.missing["decode"]

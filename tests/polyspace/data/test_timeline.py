from fractions import Fraction

import numpy as np
import pytest

from polyspace.data import timeline
from polyspace.data.timeline import Timeline
from polyspace.data.video_file import Limits, open_video
from polyspace.errors import VideoError
from tests.support.videos import edit, moving, numbered, write_video, write_without

P_FRAMES = {"bf": "0", "g": "250"}


def read(file, **settings) -> Timeline:
    with open_video(file, Limits()) as (container, stream):
        return timeline.read(container, stream, Limits(), **settings)


def test_packets_are_put_in_the_order_of_presentation(tmp_path):
    file = write_video(tmp_path / "a.mp4", moving(20, right=3, down=0), options={"bf": "2"})

    film = read(file)

    assert film.ordered
    assert film.skippable
    assert film.shown != sorted(film.shown)
    assert film.seconds_of(film.shown).tolist() == [n / 25 for n in range(20)]
    assert [packet.opaque for packet in film.packets] == [(n,) for n in range(20)]


def test_stamps_are_rounded_once(tmp_path):
    file = write_video(tmp_path / "a.mkv", numbered(3), stamps=[0, 33, 67])

    assert sorted(read(file).stamps.tolist()) == [0.0, 33 / 1000, 67 / 1000]


def test_b_frames_in_avi_have_no_order(tmp_path):
    file = write_video(tmp_path / "a.avi", moving(20, right=3, down=0), options={"bf": "2"})

    film = read(file)

    assert not film.ordered
    assert not film.skippable
    assert film.seconds_of(film.shown) == pytest.approx(np.arange(20) / 25)


def test_what_an_edit_list_cuts_is_decoded_and_not_shown(tmp_path):
    file = write_video(tmp_path / "a.mp4", numbered(30), options={"g": "12", "bf": "0"})
    edit(file, first=15, count=10)

    film = read(file)

    assert 10 < len(film.packets) < 30
    assert len(film.shown) == 10
    assert film.seconds_of(film.shown).tolist() == [n / 25 for n in range(10)]


def test_a_recording_that_begins_in_the_middle_is_decoded_in_full(tmp_path):
    whole = write_video(tmp_path / "a.ts", numbered(30), options={"g": "12", "bf": "0"})

    assert read(whole).skippable
    assert not read(write_without(whole, tmp_path / "b.ts", range(5))).skippable


@pytest.mark.parametrize("file", ["a.mp4", "a.mkv", "a.ts"])
def test_a_lost_h264_frame_is_noticed_by_its_number(tmp_path, file):
    whole = write_video(tmp_path / f"whole_{file}", moving(30, right=1, down=0), options=P_FRAMES)
    broken = write_without(whole, tmp_path / file, {10})

    with pytest.raises(VideoError, match="a frame is missing before packet 10") as refusal:
        read(broken)

    assert refusal.value.reason == "damaged"
    assert len(read(broken, lenient=True).packets) == 29


def test_a_pause_is_no_loss(tmp_path):
    stamps = [40 * n + (1000 if n > 9 else 0) for n in range(20)]
    file = write_video(tmp_path / "a.mkv", numbered(20), options=P_FRAMES, stamps=stamps)

    film = read(file)

    assert film.has_holes
    assert film.skippable


def test_mpeg4_with_a_hole_in_time_is_decoded_in_full(tmp_path):
    whole = write_video(tmp_path / "a.mp4", numbered(20), codec="mpeg4")
    broken = write_without(whole, tmp_path / "b.mp4", {10})

    assert read(whole).skippable
    assert not read(broken).skippable


def test_frames_that_avi_counts_and_does_not_hold_are_missed(tmp_path):
    whole = write_video(tmp_path / "a.avi", numbered(20), codec="mpeg4")

    with pytest.raises(VideoError, match="is damaged: 19 of 20 frames are there"):
        read(write_without(whole, tmp_path / "b.avi", {10}))


@pytest.mark.parametrize(("file", "codec"), [("a.mkv", "libx264"), ("a.webm", "libvpx-vp9")])
@pytest.mark.parametrize("share", [0.4, 0.6, 0.9])
def test_matroska_that_ends_before_its_time_is_truncated(tmp_path, file, codec, share):
    video = write_video(tmp_path / file, moving(30, right=5, down=3), codec=codec)
    content = video.read_bytes()
    video.write_bytes(content[: int(len(content) * share)])

    with pytest.raises(VideoError, match=r"is truncated: ends at \d\.\d\d s of 1\.20 s") as refusal:
        read(video)

    assert refusal.value.reason == "truncated"
    assert 0 < len(read(video, lenient=True).packets) < 30


@pytest.mark.parametrize(
    "stamps", [[0.0, 2.0, 1.0, 3.0], [0.0, np.nan, 1.0, 2.0], [0.0, 1.0, 1.0, 2.0]]
)
def test_frames_without_times_are_counted(stamps):
    film = Timeline([], [0, 1, 2, 3], False, np.array(stamps), Fraction(1, 25), Fraction(25))

    assert film.seconds_of(film.shown).tolist() == [0.0, 0.04, 0.08, 0.12]
    assert not film.has_holes

"""Decoding in parts gives the bits of decoding everything."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polyspace.data import timeline
from polyspace.data.footage import Decoder
from polyspace.data.video_file import Limits, open_video
from polyspace.errors import VideoError
from tests.support.videos import moving, write_video, write_without

COUNT = 61


@contextmanager
def opened(file: Path) -> Generator[tuple[timeline.Timeline, Decoder]]:
    with open_video(file, Limits()) as (container, stream):
        stream.codec_context.copy_opaque = True
        film = timeline.read(container, stream, Limits())
        yield film, Decoder(stream.codec_context, film, motion=False)


@dataclass(frozen=True)
class Coding:
    file: str
    codec: str
    options: tuple[tuple[str, str], ...] = ()
    skips: bool = True
    """Whether it is told to be safe to leave frames out."""


def x264(**options: object) -> tuple[tuple[str, str], ...]:
    return (("x264-params", ":".join(f"{k.replace('_', '-')}={v}" for k, v in options.items())),)


CODINGS = [
    Coding("long.mp4", "libx264", x264(keyint=250, bframes=3)),
    Coding("short.mp4", "libx264", x264(keyint=12, bframes=3)),
    Coding("open.mp4", "libx264", x264(keyint=12, bframes=3, open_gop=1)),
    Coding("open.ts", "libx264", x264(keyint=12, bframes=3, open_gop=1, b_pyramid="none")),
    Coding("refresh.mp4", "libx264", x264(keyint=12, intra_refresh=1)),
    Coding("plain.mkv", "libx264", x264(keyint=12, bframes=0)),
    Coding("b_frames.avi", "libx264", x264(keyint=12, bframes=2), skips=False),
    Coding("mpeg4.avi", "mpeg4", (("g", "12"),)),
    Coding("mpeg4_b_frames.avi", "mpeg4", (("g", "12"), ("bf", "2")), skips=False),
    Coding("mpeg4_b_frames.mp4", "mpeg4", (("g", "12"), ("bf", "2"))),
    Coding("hevc.mp4", "libx265", (("x265-params", "keyint=12:bframes=3:log-level=none"),)),
    Coding("vp9.webm", "libvpx-vp9", (("cpu-used", "8"), ("deadline", "realtime"), ("g", "12"))),
    Coding("mjpeg.avi", "mjpeg"),
]


@pytest.fixture(scope="module", params=CODINGS, ids=lambda coding: coding.file)
def coded(request, tmp_path_factory):
    """A file, how it is coded, and all its pictures."""
    coding = request.param
    frames = moving(COUNT, right=5, down=3)
    file = tmp_path_factory.mktemp("coded") / coding.file
    write_video(file, frames, codec=coding.codec, options=dict(coding.options))
    with av.open(str(file)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        everything = [
            frame.to_ndarray(format="rgb24", interpolation="AREA")
            for frame in container.decode(video=0)
        ]
    assert len(everything) == COUNT
    return file, coding, np.stack(everything)


@given(wanted=st.sets(st.integers(0, COUNT - 1), min_size=1, max_size=8))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_frames_are_those_of_a_full_decode_bit_by_bit(coded, wanted):
    file, coding, everything = coded
    with opened(file) as (film, decoder):
        planned = decoder.planned({film.shown[place] for place in wanted}, ())
        sequential = decoder.sequential(wanted)

    assert film.skippable == coding.skips
    assert np.array_equal(sequential.pictures, everything[sorted(wanted)])
    # Without an order of presentation, numbers of packets don't say which pictures are meant.
    if planned is not None and film.ordered:
        assert np.array_equal(planned.pictures, everything[sorted(wanted)])
        assert set(planned.order) <= set(sequential.order)


@pytest.mark.parametrize(
    ("options", "most"),
    [({"bf": "3", "g": "250", "x264-params": "b-pyramid=none"}, 30), ({"bf": "0", "g": "12"}, 2)],
)
def test_what_nobody_wants_is_left_out(tmp_path, options, most):
    """B-frames are skipped; groups of pictures in between are jumped over."""
    file = write_video(tmp_path / "a.mp4", moving(COUNT, right=1, down=0), options=options)
    with opened(file) as (film, decoder):
        footage = decoder.planned({film.shown[0], film.shown[60]}, ())

    assert footage is not None
    assert 2 <= len(footage.order) <= most


def test_a_plan_that_time_stamps_deceived_is_given_up(tmp_path):
    """The file's order of presentation is not the one it says."""
    file = write_video(tmp_path / "a.avi", moving(30, right=1, down=0), options={"bf": "2"})
    with opened(file) as (film, decoder):
        believed = replace(film, ordered=True, stamps=np.arange(30.0))
        planned = replace(decoder, timeline=believed).planned(range(30), ())

    assert not film.ordered
    assert planned is None


def test_a_frame_that_does_not_come_out_is_damage(tmp_path):
    whole = write_video(
        tmp_path / "a.mp4", moving(30, right=1, down=0), codec="mpeg4", options={"bf": "2"}
    )
    file = write_without(whole, tmp_path / "b.mp4", {10})
    with opened(file) as (_, decoder):
        with pytest.raises(VideoError, match="2 of 29 frames can't be decoded, the first"):
            decoder.sequential([0])
        assert replace(decoder, lenient=True).sequential([0]).damaged == 2

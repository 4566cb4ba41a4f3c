import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
import pytest

from polyspace.data.clips import Request
from polyspace.data.decode import decode
from polyspace.data.footage import SHORT_SIDE_PIXELS, Decoder
from polyspace.data.video_file import Limits
from polyspace.data.views import Viewing
from polyspace.errors import VideoError
from tests.support.clips import ask, motion_of
from tests.support.videos import (
    SAME_BYTES,
    edit,
    moving,
    not_coded,
    numbered,
    numbers,
    pack,
    write_audio,
    write_video,
    write_without,
)


@dataclass(frozen=True)
class Format:
    file: str
    codec: str
    options: tuple[tuple[str, str], ...] = ()


FAST = {"cpu-used": "8", "deadline": "realtime"}

FORMATS = [
    Format("h264.mp4", "libx264"),
    Format("h264_b_frames.mp4", "libx264", (("bf", "3"), ("g", "12"))),
    Format("h264_b_frames.avi", "libx264", (("bf", "2"),)),
    Format("h264.ts", "libx264"),
    Format("h264_open_gop.mp4", "libx264", (("x264-params", "open-gop=1:keyint=12:bframes=3"),)),
    Format("h264_short_gop.mkv", "libx264", (("g", "5"),)),
    Format("mpeg4.avi", "mpeg4"),
    Format("mpeg4_b_frames.avi", "mpeg4", (("bf", "2"),)),
    Format("vp9.webm", "libvpx-vp9", tuple(FAST.items())),
    Format("vp8.webm", "libvpx", (*FAST.items(), ("auto-alt-ref", "1"), ("lag-in-frames", "16"))),
    Format("hevc.mp4", "libx265", (("x265-params", "bframes=3:keyint=12:log-level=none"),)),
    Format("mjpeg.mkv", "mjpeg"),
]


@pytest.mark.parametrize("case", FORMATS, ids=lambda case: case.file)
def test_the_frames_are_the_ones_that_were_asked_for(tmp_path, case):
    write_video(tmp_path / case.file, numbered(61), codec=case.codec, options=dict(case.options))

    clip = decode(tmp_path, ask(case.file, 5, 3))

    assert numbers(clip.frames) == [0, 15, 30, 45, 60]
    assert clip.seconds == pytest.approx(np.array([0, 15, 30, 45, 60]) / 25, abs=2e-3)
    assert clip.duration_seconds == pytest.approx(61 / 25, abs=2e-3)
    assert clip.motion is None


def test_a_container_that_claims_no_frames_gives_frames_of_the_whole_clip(tmp_path):
    file = write_video(tmp_path / "a.webm", numbered(100), codec="libvpx-vp9", options=FAST)
    with av.open(str(file)) as container:
        assert container.streams.video[0].frames == 0

    assert numbers(decode(tmp_path, ask("a.webm", 4)).frames) == [0, 33, 66, 99]


def test_several_wishes_are_met_by_their_union(tmp_path):
    write_video(tmp_path / "a.mp4", numbered(61))

    assert numbers(decode(tmp_path, ask("a.mp4", 3, 4)).frames) == [0, 20, 30, 40, 60]


def test_a_short_clip_gives_each_frame_once(tmp_path):
    write_video(tmp_path / "a.mp4", numbered(5))

    assert numbers(decode(tmp_path, ask("a.mp4", 16)).frames) == [0, 1, 2, 3, 4]


def test_frames_are_spread_over_time_where_their_pace_changes(tmp_path):
    slow_at_the_end = [40 * n for n in range(20)] + [800 + 400 * n for n in range(5)]
    write_video(tmp_path / "a.mkv", numbered(25), stamps=slow_at_the_end)

    clip = decode(tmp_path, ask("a.mkv", 5))

    assert clip.seconds == pytest.approx([0.0, 0.6, 1.2, 1.6, 2.4])
    assert numbers(clip.frames) == [0, 15, 21, 22, 24]


def test_frames_of_variable_pace_are_exact_in_mp4(tmp_path):
    stamps = np.cumsum(np.random.default_rng(0).integers(10, 90, 61)).tolist()
    write_video(tmp_path / "a.mp4", numbered(61), stamps=stamps, options={"bf": "3", "g": "12"})

    clip = decode(tmp_path, ask("a.mp4", 9))

    seconds = (np.array(stamps) - stamps[0]) / 1000
    nearest = [int(np.abs(seconds - t).argmin()) for t in np.linspace(0, seconds[-1], 9)]
    assert numbers(clip.frames) == nearest
    assert clip.seconds == pytest.approx(seconds[nearest])


@pytest.mark.parametrize("b_frames", ["0", "3"])
@pytest.mark.parametrize(("first", "count"), [(10, 40), (13, 30), (25, 20), (0, 61)])
def test_an_edit_list_gives_the_frames_that_it_shows(tmp_path, first, count, b_frames):
    file = write_video(tmp_path / "a.mp4", numbered(61), options={"bf": b_frames, "g": "12"})
    edit(file, first, count)

    clip = decode(tmp_path, ask("a.mp4", count))

    assert numbers(clip.frames) == list(range(first, first + count))
    assert clip.seconds == pytest.approx(np.arange(count) / 25)
    assert clip.duration_seconds == pytest.approx(count / 25)


def test_a_recording_that_begins_in_the_middle_starts_at_its_first_keyframe(tmp_path):
    keys = {"x264-params": "keyint=10:min-keyint=10:scenecut=0:bframes=0"}
    whole = write_video(tmp_path / "a.ts", numbered(40), options=keys)
    write_without(whole, tmp_path / "b.ts", range(3))

    assert numbers(decode(tmp_path, ask("b.ts", 30)).frames) == list(range(10, 40))


def test_frames_that_divx_packed_together_are_told_apart(tmp_path):
    one_by_one = {"bf": "1", "b_strategy": "0", "g": "100"}
    write_video(tmp_path / "a.avi", numbered(41), codec="mpeg4", options=one_by_one)
    pack(tmp_path / "a.avi", tmp_path / "b.avi")

    assert numbers(decode(tmp_path, ask("b.avi", 5)).frames) == [0, 10, 20, 30, 40]
    assert numbers(decode(tmp_path, ask("b.avi", 41)).frames) == list(range(41))


@pytest.mark.parametrize("place", [40, 80])
def test_a_lost_packet_of_a_transport_stream_is_damage(tmp_path, place):
    whole = write_video(tmp_path / "a.ts", moving(30, right=5, down=3)).read_bytes()
    (tmp_path / "b.ts").write_bytes(whole[: 188 * place] + whole[188 * (place + 1) :])

    with pytest.raises(VideoError, match="is damaged at packet") as refusal:
        decode(tmp_path, ask("b.ts", 4))

    assert refusal.value.reason == "damaged"


def test_mpeg4_placeholders_are_no_frames(tmp_path):
    """An encoder that has nothing to say leaves a packet without a picture."""
    write_video(tmp_path / "a.avi", numbered(20), codec="mpeg4", options={"g": "30"})
    _say_nothing(tmp_path / "a.avi", tmp_path / "b.avi", number=7)

    assert numbers(decode(tmp_path, ask("b.avi", 20)).frames) == [*range(7), *range(8, 20)]


def test_a_picture_is_turned_as_it_was_recorded(tmp_path):
    frames = numbered(8)
    write_video(tmp_path / "a.mp4", frames)
    write_video(tmp_path / "b.mp4", frames, display=(0, 1, -1, 0))

    lying, upright = (decode(tmp_path, ask(f"{n}.mp4", 4, motion_steps=2)) for n in "ab")

    assert np.array_equal(np.rot90(lying.frames, -1, (1, 2)), upright.frames)
    assert motion_of(upright).shape == (2, 4, 4, 3)
    assert np.array_equal(np.rot90(motion_of(lying)[:, 3], -1, (1, 2)), motion_of(upright)[:, 3])


def test_motion_of_windows_is_that_of_a_full_decode(tmp_path, monkeypatch):
    write_video(tmp_path / "a.mp4", moving(60, right=3, down=-2), options={"g": "12", "bf": "1"})
    request = Request("a", "a.mp4", (2,), 4, Viewing(segments=3, window_seconds=0.2))

    in_parts = decode(tmp_path, request)
    monkeypatch.setattr(Decoder, "planned", lambda *_: None)
    in_full = decode(tmp_path, request)

    assert in_parts.motion is not None
    assert in_full.motion is not None
    assert np.array_equal(in_parts.motion, in_full.motion)
    assert np.array_equal(in_parts.frames, in_full.frames)


def test_what_is_left_of_a_damaged_file_is_used_if_that_is_allowed(tmp_path):
    _damage(tmp_path / "a.mp4")
    request = ask("a.mp4", 4)
    with pytest.raises(VideoError) as refusal:
        decode(tmp_path, request)

    clip = decode(tmp_path, replace(request, allow_damaged=True))

    assert refusal.value.reason == "damaged"
    assert len(clip.frames) == 4
    assert clip.damaged >= 1


def test_a_whole_file_is_not_called_damaged(tmp_path):
    _good(tmp_path)

    assert decode(tmp_path, replace(ask("good.mp4", 4), allow_damaged=True)).damaged == 0


def test_a_truncated_file_gives_what_is_there_if_that_is_allowed(tmp_path):
    _cut(tmp_path / "a.avi")

    clip = decode(tmp_path, replace(ask("a.avi", 4), allow_damaged=True))

    assert clip.damaged >= 1
    assert clip.duration_seconds < 30 / 25


def test_very_large_pictures_are_scaled_down_by_a_whole_number(tmp_path):
    side = 2 * SHORT_SIDE_PIXELS + 8
    write_video(tmp_path / "a.mp4", numbered(2, width=side, height=side))

    assert decode(tmp_path, ask("a.mp4", 2)).frames.shape == (2, side // 3, side // 3, 3)


@pytest.mark.parametrize(
    ("file", "codec", "options"),
    [("a.mp4", "libx264", {"bf": "0", "refs": "1"}), ("a.avi", "mpeg4", {})],
)
def test_motion_is_what_the_picture_did(tmp_path, file, codec, options):
    frames = moving(24, right=3, down=-2)
    write_video(tmp_path / file, frames, codec=codec, options={"g": "100", **options})

    motion = motion_of(decode(tmp_path, ask(file, motion_steps=4)))

    assert motion is not None
    assert motion.shape == (4, 4, 4, 6)
    dx, dy, energy, coverage = np.median(motion, axis=(0, 2, 3))
    assert dx == pytest.approx(100 * 3 / 96, rel=0.05)
    assert dy == pytest.approx(100 * -2 / 64, rel=0.05)
    assert energy == pytest.approx(np.hypot(dx, dy), rel=0.05)
    assert coverage > 0.9


def test_motion_of_b_frames_points_the_same_way(tmp_path):
    frames = moving(24, right=3, down=-2)
    write_video(tmp_path / "a.mp4", frames, options={"g": "100", "bf": "1", "refs": "1"})

    motion = motion_of(decode(tmp_path, ask("a.mp4", motion_steps=4)))

    assert motion is not None
    dx, dy, *_ = np.median(motion, axis=(0, 2, 3))
    # The frames around a B-frame lie two frames apart, and FFmpeg doesn't say so.
    assert 1 <= dx / (100 * 3 / 96) < 2
    assert 1 <= dy / (100 * -2 / 64) < 2


def test_motion_of_a_codec_without_vectors_is_refused_by_its_name(tmp_path):
    write_video(tmp_path / "a.avi", numbered(8), codec="mjpeg")

    with pytest.raises(VideoError, match=r"a\.avi: its codec mjpeg left no motion vectors"):
        decode(tmp_path, ask("a.avi", 4, motion_steps=4))


def _say_nothing(source: Path, target: Path, number: int) -> None:
    """Copy MPEG-4 with one packet cut down to the statement that its picture is not coded."""
    with av.open(str(source)) as found, av.open(str(target), "w") as container:
        stream = container.add_stream_from_template(found.streams.video[0])
        packets = [packet for packet in found.demux(found.streams.video[0]) if packet.size]
        for place, packet in enumerate(packets):
            if place == number:
                nothing = av.Packet(not_coded(bytes(packet)))
                nothing.pts, nothing.dts = packet.pts, packet.dts
                nothing.time_base = packet.time_base
                packet = nothing
            packet.stream = stream
            container.mux(packet)


def _good(folder: Path) -> Path:
    return write_video(folder / "good.mp4", numbered(30))


def _detailed(file: Path) -> Path:
    codec = "mpeg4" if file.suffix == ".avi" else "libx264"
    moved = moving(30, right=5, down=3)
    return write_video(file, moved, codec=codec, options=SAME_BYTES.get(codec))


def _damage(file: Path) -> None:
    content = bytearray(_detailed(file).read_bytes())
    for place in range(len(content) // 2, len(content) // 2 + 40):
        content[place] ^= 0x55
    file.write_bytes(content)


def _cut(file: Path) -> None:
    content = _detailed(file).read_bytes()
    end = len(content) * 2 // 3
    # An AVI file ends between two frames, which nothing but their number shows.
    file.write_bytes(content[: content.rindex(b"00dc", 0, end) if file.suffix == ".avi" else end])


def _playlist(file: Path) -> None:
    _good(file.parent)
    file.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\ngood.mp4\n#EXT-X-ENDLIST\n")


def _link_outside(file: Path) -> None:
    outside = file.parent.parent / "outside.mp4"
    outside.write_bytes(_good(file.parent).read_bytes())
    file.symlink_to(outside)


@dataclass(frozen=True)
class Bad:
    id: str
    path: str
    make: Callable[[Path], object]
    reason: str


BAD = [
    Bad("empty", "a.mp4", lambda file: file.touch(), "is empty"),
    Bad("missing", "a.mp4", lambda file: None, "can't be read: No such file"),
    Bad("folder", "a.mp4", lambda file: file.mkdir(), "is not a plain file"),
    Bad("pipe", "a.mp4", lambda file: os.mkfifo(file), "is not a plain file"),
    Bad(
        "text",
        "a.mp4",
        lambda file: file.write_text("no video " * 99),
        "no format that is accepted",
    ),
    Bad("sound", "a.mp4", write_audio, r"has no video stream \(found audio\)"),
    Bad("cut mp4", "a.mp4", _cut, "no format that is accepted"),
    Bad("cut avi", "a.avi", _cut, r"is truncated: \d+ of 30 frames are there"),
    Bad("damaged mp4", "a.mp4", _damage, "can't be decoded|is damaged at frame"),
    Bad("damaged avi", "a.avi", _damage, "can't be decoded|is damaged at frame"),
    Bad("playlist", "a.mp4", _playlist, "no format that is accepted"),
    Bad("link outside", "a.mp4", _link_outside, "outside of the data set's root"),
    Bad("up", "../outside.mp4", _link_outside, "is not a path relative"),
    Bad("address", "http://localhost/a.mp4", lambda file: None, "is not a path relative"),
    Bad("chain", "concat:a.mp4|b.mp4", lambda file: None, "can't be read: No such file"),
]


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.id)
def test_a_bad_file_is_refused_with_its_name_and_the_reason(tmp_path, case):
    root = tmp_path / "root"
    root.mkdir()
    case.make(root / Path(case.path).name)

    with pytest.raises(VideoError, match=case.reason) as refusal:
        decode(root, ask(case.path, 4, motion_steps=None))

    assert str(refusal.value).startswith(f"{case.path}: ")


def test_an_absolute_path_is_refused(tmp_path):
    file = _good(tmp_path)

    with pytest.raises(VideoError, match="is not a path relative"):
        decode(tmp_path, ask(str(file), 4))


def test_a_link_inside_of_the_root_is_followed(tmp_path):
    (tmp_path / "link.mp4").symlink_to(_good(tmp_path))

    assert numbers(decode(tmp_path, ask("link.mp4", 2)).frames) == [0, 29]


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(frames=29), "has more than 29 frames"),
        (Limits(seconds=1.0), "is longer than 1 s"),
        (Limits(pixels=64 * 48 - 1), "has pictures of 64x48, more than 3071 pixels"),
    ],
)
def test_a_file_beyond_a_limit_is_refused(tmp_path, limits, reason):
    _good(tmp_path)

    with pytest.raises(VideoError, match=reason):
        decode(tmp_path, ask("good.mp4", 4), limits)


def test_decoding_does_not_load_torch():
    code = "import sys, polyspace.data.prefetch; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

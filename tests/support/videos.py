"""Small real video files, whose frames say which ones they are."""

import struct
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from numpy import ndarray

RATE_HZ = 25

SAME_BYTES = {"libx264": {"qp": "24", "sc_threshold": "0"}}
"""Options of an encoder that otherwise writes other bytes now and then, which damage then meets."""

VOP = b"\0\0\1\xb6"
"""What a picture of MPEG-4 begins with."""


def numbered(count: int, *, width: int = 64, height: int = 48) -> ndarray:
    """Draw each frame's number as eight black or white stripes, the lowest bit first."""
    bits = (np.arange(count)[:, None] >> np.arange(8)) & 1
    stripes = np.repeat(bits * 255, width // 8, axis=1).astype(np.uint8)
    return np.broadcast_to(stripes[:, None, :, None], (count, height, width, 3)).copy()


def numbers(frames: ndarray) -> list[int]:
    """Read the numbers that `numbered` drew, whatever the codec did to them."""
    stripes = np.stack(np.array_split(frames.mean(axis=(1, 3)), 8, axis=1))
    bits = stripes.mean(axis=2).T > 127
    return (bits << np.arange(8)).sum(axis=1).tolist()


def moving(
    count: int, *, right: int, down: int, width: int = 96, height: int = 64, seed: int = 0
) -> ndarray:
    """Move a texture by whole pixels a frame, beyond its border from the other side."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    texture = coarse.repeat(4, axis=0).repeat(4, axis=1)
    return np.stack([np.roll(texture, (n * down, n * right), (0, 1)) for n in range(count)])


def write_video(
    path: Path,
    frames: ndarray | Iterable[ndarray],
    *,
    codec: str = "libx264",
    options: Mapping[str, str] | None = None,
    stamps: Sequence[int] | None = None,
    display: Sequence[int] | None = None,
) -> Path:
    """Encode frames; the file's ending decides on the container.

    Args:
        path: Where to.
        frames: RGB, each [height, width, 3].
        codec: FFmpeg's name of the encoder.
        options: FFmpeg's options of the encoder.
        stamps: When each frame is shown, in 1/1000 s; evenly, 25 a second, if not given.
        display: a, b, c, d of the display matrix: (x, y) is shown at (a x + c y, b x + d y).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE_HZ, options=dict(options or {}))
        assert isinstance(stream, av.VideoStream)
        remaining = iter(frames)
        first = next(remaining)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if stamps is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if display is not None:
            a, b, c, d = (value << 16 for value in display)
            stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        for index, pixels in enumerate(chain([first], remaining)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = index if stamps is None else stamps[index]
            if stamps is not None:
                frame.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_without(source: Path, target: Path, lost: Collection[int]) -> Path:
    """Copy a video's packets into another file, but for some."""
    with av.open(str(source)) as found, av.open(str(target), "w") as container:
        stream = container.add_stream_from_template(found.streams.video[0])
        for number, packet in enumerate(found.demux(found.streams.video[0])):
            if packet.size and number not in lost:
                packet.stream = stream
                container.mux(packet)
    return target


def pack(source: Path, target: Path) -> Path:
    """Copy MPEG-4 as DivX stored it in AVI: a B-frame in the packet ahead, a placeholder after."""
    with av.open(str(source)) as found, av.open(str(target), "w") as container:
        stream = container.add_stream_from_template(found.streams.video[0])
        headers = found.streams.video[0].codec_context.extradata or b""
        pictures = [bytes(p) for p in found.demux(found.streams.video[0]) if p.size]
        start = pictures[0].index(VOP)
        packets = [headers + b"\0\0\1\xb2DivX503b1393p" + pictures[0][start:]]
        for picture in pictures[1:]:
            if picture[4] >> 6 == 2:  # B
                packets[-1] += picture
                packets.append(not_coded(picture))
            else:
                packets.append(picture)
        for number, data in enumerate(packets):
            packet = av.Packet(data)
            packet.pts = packet.dts = number
            packet.time_base, packet.is_keyframe = Fraction(1, RATE_HZ), number == 0
            packet.stream = stream
            container.mux(packet)
    return target


def not_coded(picture: bytes) -> bytes:
    """Cut a picture of MPEG-4, at 25 a second, down to the statement that there is none."""
    # Start code; type, no whole second, marker, five bits of time, marker, coded.
    said = bytearray(picture[: len(VOP) + 3])
    said[4] = said[4] & 0x3F | 0x40
    said[5] &= 0xFF ^ 0x20
    return bytes(said)


def edit(file: Path, first: int, count: int) -> None:
    """Let an MP4 file's edit list show some frames only."""
    content = bytearray(file.read_bytes())
    entry = content.index(b"elst") + 12
    (before,) = struct.unpack_from(">i", content, entry + 4)
    with av.open(str(file)) as container:
        base = container.streams.video[0].time_base
    assert base is not None
    ticks = before + round(first / RATE_HZ / base)
    struct.pack_into(">ii", content, entry, 1000 * count // RATE_HZ, ticks)
    file.write_bytes(content)


def write_audio(path: Path) -> Path:
    """Write a file that holds half a second of sound and no picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16_000)
        silence = np.zeros((1, 1024), np.float32)
        for index in range(8):
            frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16_000, index * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def scene(count: int, *, width: int = 320, height: int = 240, seed: int = 0) -> Iterator[ndarray]:
    """Film something: a camera that pans over soft shapes, a thing that moves, a sensor's noise."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0 : height + 120, 0 : width + 120]
    waves = rng.uniform([-0.06, -0.06, 0, 4], [0.06, 0.06, 6, 18], (24, 4))
    ground = np.full(rows.shape, 128.0)
    for across, down, phase, swing in waves:
        ground += swing * np.sin(2 * np.pi * (across * columns + down * rows) + phase)
    tint, pace = rng.uniform(0.6, 1.0, 3), rng.uniform(15, 40, 4)
    for n in range(count):
        top, left = (int(60 + 55 * np.sin(n / p)) for p in pace[:2])
        picture = ground[top : top + height, left : left + width].copy()
        y, x = (
            int(s * (0.5 + 0.3 * np.cos(n / p))) for s, p in ((height, pace[2]), (width, pace[3]))
        )
        thing = (slice(y - height // 8, y + height // 8), slice(x - width // 8, x + width // 8))
        picture[thing] = 255 - picture[thing]
        picture += rng.normal(0, 4, picture.shape)
        yield np.clip(picture[..., None] * tint, 0, 255).astype(np.uint8)

"""The `motion` data set's camera: moves over a real picture, and films what it sees.

Runs in spawned workers, so it knows numpy and PyAV but not torch.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.video.frame import VideoFrame
from jaxtyping import Float32, Float64, UInt8
from numpy import ndarray

from polyspace.data.datasets.motion_sources import Picture, load

Move = Literal[
    "pan_left", "pan_right", "tilt_up", "tilt_down", "zoom_in", "zoom_out",
    "rotate_cw", "rotate_ccw", "shake", "still",
]  # fmt: skip
"""What the camera does, not the picture: under a pan to the left the picture runs to the right."""

RATE_HZ = 25
CANVAS = 5 / 3
"""Short side of the picture over the height of the frame: room to move in."""


ENCODERS: Mapping[str, tuple[Literal["libx264", "mpeg4"], Mapping[str, str]]] = {
    # Not by crf: x264's look-ahead then decides by memory that nobody has set, and about one file
    # in two hundred came out with other bytes.
    ".mp4": ("libx264", {"preset": "veryfast", "qp": "23", "refs": "1"}),
    ".avi": ("mpeg4", {"qmin": "4", "qmax": "4"}),
}
"""Codec and its options by the file's ending."""

MOTION_OPTIONS: Mapping[str, str] = {"g": "250", "sc_threshold": "0", "bf": "0"}
"""One keyframe a clip, because those have no motion vectors; and every frame refers to the one
before it, because FFmpeg doesn't say how far back a vector points."""


@dataclass(frozen=True)
class Camera:
    """One take: how the camera moves over the picture. Shares are of 1, angles in radians."""

    move: Move
    speed: float
    """Share of the frame that the picture travels over the clip (at its edge, for turns)."""
    zoom: float
    """Magnification at the middle of the clip."""
    roll: float
    """Clockwise angle at the middle of the clip."""
    across: float
    """Where the camera stands at the middle of the clip: from left (0) to right (1)."""
    down: float
    start: float
    """Which frames of a shot are filmed, from its first (0) to its last (1) ones."""
    gain: float
    gamma: float
    noise: float
    """Standard deviation of the sensor's noise, in levels of 255."""
    seed: int
    """Draws the noise, and the path of a shaking hand."""


@dataclass(frozen=True)
class Take:
    """One file to render."""

    path: str
    """Relative to the data set's root; .mp4 is H.264, .avi is MPEG-4."""
    camera: Camera


def film(
    root: Path, picture: Picture, takes: Sequence[Take], *, frames: int, width: int, height: int
) -> int:
    """Render every take of one picture whose file isn't there yet; give how many those were."""
    missing = [take for take in takes if not (root / take.path).exists()]
    if missing:
        canvas = load(picture, short_side=round(height * CANVAS))
        for take in missing:
            shots = shoot(canvas, take.camera, frames=frames, width=width, height=height)
            _encode(root / take.path, shots)
    return len(missing)


def shoot(
    canvas: UInt8[ndarray, "shot rows columns 3"],
    camera: Camera,
    *,
    frames: int,
    width: int,
    height: int,
) -> UInt8[ndarray, "frame height width 3"]:
    """See the picture through the moving camera."""
    x, y = _path(canvas.shape[1], canvas.shape[2], camera, frames, width, height)
    first = round(camera.start * max(len(canvas) - frames, 0))
    levels = 255 * camera.gain * np.linspace(0, 1, 256) ** camera.gamma
    exposed = levels.astype(np.float32)
    noise = np.random.default_rng(camera.seed)
    seen = np.empty((frames, height, width, 3), np.uint8)
    for index in range(frames):
        source = exposed.take(canvas[min(first + index, len(canvas) - 1)])
        frame = bilinear(source, x[index], y[index])
        frame += camera.noise * noise.standard_normal(frame.shape, np.float32)
        seen[index] = np.clip(np.rint(frame), 0, 255)
    return seen


def bilinear(
    picture: Float32[ndarray, "rows columns 3"],
    x: Float32[ndarray, "height width"],
    y: Float32[ndarray, "height width"],
) -> Float32[ndarray, "height width 3"]:
    """Sample a picture between its pixels; beyond its border the border goes on."""
    rows, columns, _ = picture.shape
    x = np.clip(x, 0, columns - 1.001)
    y = np.clip(y, 0, rows - 1.001)
    left, top = x.astype(np.intp), y.astype(np.intp)
    right = (x - left).astype(np.float32)[..., None]
    below = (y - top).astype(np.float32)[..., None]
    flat = picture.reshape(-1, 3)
    corner = top * columns + left
    upper = _between(flat.take(corner, axis=0), flat.take(corner + 1, axis=0), right)
    corner += columns
    lower = _between(flat.take(corner, axis=0), flat.take(corner + 1, axis=0), right)
    return _between(upper, lower, below)


def _between(
    first: Float32[ndarray, "height width 3"],
    second: Float32[ndarray, "height width 3"],
    where: Float32[ndarray, "height width 1"],
) -> Float32[ndarray, "height width 3"]:
    return first + where * (second - first)


def _path(
    rows: int, columns: int, camera: Camera, frames: int, width: int, height: int
) -> tuple[Float32[ndarray, "frame height width"], Float32[ndarray, "frame height width"]]:
    """Say which point of the picture every pixel of every frame shows."""
    aside, downward, zoom, roll = _move(camera, frames)
    u = np.arange(width) - (width - 1) / 2
    v = (np.arange(height) - (height - 1) / 2)[:, None]
    cos, sin, scale = (a[:, None, None] for a in (np.cos(roll), np.sin(roll), 1 / zoom))
    x = (cos * u - sin * v + width * aside[:, None, None]) * scale
    y = (sin * u + cos * v + height * downward[:, None, None]) * scale
    return _place(x, columns, camera.across), _place(y, rows, camera.down)


def _place(
    offsets: Float64[ndarray, "frame height width"], size: int, where: float
) -> Float32[ndarray, "frame height width"]:
    """Shift a path to where it stays inside of the picture, as far as it fits."""
    low, high = -offsets.min(), size - 1 - offsets.max()
    centre = low + where * (high - low) if low < high else (low + high) / 2
    return (offsets + centre).astype(np.float32)


def _move(camera: Camera, frames: int) -> Float64[ndarray, "4 frame"]:
    """Give the camera's way to the right and down (shares of the frame), magnification and roll.

    Every move is symmetric about the middle of the clip, so that where and how large the picture
    appears says nothing about the class.
    """
    time = np.linspace(-0.5, 0.5, frames)
    still = np.zeros(frames)
    way = camera.speed * time
    aside, downward, growth, turn = {
        "pan_left": (-way, still, still, still),
        "pan_right": (way, still, still, still),
        "tilt_up": (still, -way, still, still),
        "tilt_down": (still, way, still, still),
        # Twice: the edge of the frame, half its size away from the centre, travels `speed`.
        "zoom_in": (still, still, 2 * way, still),
        "zoom_out": (still, still, -2 * way, still),
        "rotate_cw": (still, still, still, 2 * way),
        "rotate_ccw": (still, still, still, -2 * way),
        "shake": (*_tremor(camera, frames), still, still),
        "still": (still, still, still, still),
    }[camera.move]
    return np.stack([aside, downward, camera.zoom * np.exp(growth), camera.roll + turn])


def _tremor(camera: Camera, frames: int) -> Iterable[Float64[ndarray, " frame"]]:
    """Swing about the middle, each axis on its own, about as fast from frame to frame as a pan."""
    rng = np.random.default_rng([camera.seed, 1])
    for _ in range(2):
        period = rng.uniform(4.5, 8.0)
        swing = np.sin(2 * np.pi * (np.arange(frames) / period + rng.uniform()))
        yield 0.12 * camera.speed * swing


def _encode(file: Path, frames: UInt8[ndarray, "frame height width 3"]) -> None:
    """Write a file whole or not at all."""
    partial = file.with_name(f".{file.name}.partial")
    with av.open(str(partial), "w", format=file.suffix[1:]) as container:
        codec, options = ENCODERS[file.suffix]
        stream = container.add_stream(codec, rate=RATE_HZ, options={**options, **MOTION_OPTIONS})
        stream.width, stream.height = frames.shape[2], frames.shape[1]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for index, pixels in enumerate(frames):
            frame = VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    os.replace(partial, file)

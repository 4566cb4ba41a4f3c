"""Cards: three clips made by whole-number arithmetic, the same on every machine for ever.

They are what golden features are features of. No generator of random numbers, no encoder and no
decoder has a part in them, because all of these change between versions.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8
from numpy import ndarray

from polyspace.data.clips import WHOLE, DecodedClip
from polyspace.data.encode import Setup, encode, feed
from polyspace.models.backbones.golden import Golden, describe
from polyspace.models.backbones.protocol import Backbone, Features
from polyspace.precision import resolve

FRAMES, HEIGHT, WIDTH, RATE_HZ = 32, 240, 320, 25
CELLS = (15, 20)
"""Rows and columns of the motion field of such a picture."""


def clips(motion_steps: int) -> tuple[DecodedClip, DecodedClip, DecodedClip]:
    """Draw the cards: a gradient moves right, a chessboard moves down, rings grow."""
    seconds = np.arange(FRAMES) / RATE_HZ
    end, standing = FRAMES / RATE_HZ, 1 / RATE_HZ
    views = WHOLE.views("card", float(seconds[-1]))
    frames = _gradient(), _chessboard(), _rings()
    first, second, third = (
        DecodedClip(
            frames=drawn,
            seconds=seconds,
            duration_seconds=end,
            standing_seconds=standing,
            views=views,
            motion=_motion(motion_steps, number),
        )
        for number, drawn in enumerate(frames)
    )
    return first, second, third


def look(backbone: Backbone, device: torch.device) -> Golden:
    """Let a backbone see the cards, in float32, and keep a glimpse of what it saw."""
    setup = Setup(device, resolve("fp32", device), spatial="full", batch=1, processes=0)
    steps = backbone.inputs.frames if backbone.inputs.kind == "motion" else 1
    seen = [_see(backbone, [clip], setup) for clip in clips(steps)]
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    return describe(backbone, seen, device=name)


def _see(backbone: Backbone, shown: Sequence[DecodedClip], setup: Setup) -> Features:
    block = encode(backbone, feed(backbone, shown), setup)
    return Features(block.tokens[:, 0], block.summary[:, 0])


def _axes() -> tuple[
    Int64[ndarray, "frame 1 1"], Int64[ndarray, "row 1"], Int64[ndarray, " column"]
]:
    time = np.arange(FRAMES)[:, None, None]
    return time, np.arange(HEIGHT)[:, None], np.arange(WIDTH)


def _gradient() -> UInt8[ndarray, "frame row column 3"]:
    time, row, column = _axes()
    slope = (column - 6 * time) // 2 + row // 4
    return _picture(slope, slope + 85, 255 - slope)


def _chessboard() -> UInt8[ndarray, "frame row column 3"]:
    time, row, column = _axes()
    field = (row - 4 * time) // 24 + column // 32
    return _picture(field % 2 * 200 + 20, field % 3 * 80 + 40, field % 5 * 50)


def _rings() -> UInt8[ndarray, "frame row column 3"]:
    time, row, column = _axes()
    square = (row - HEIGHT // 2) ** 2 + (column - WIDTH // 2) ** 2
    ring = square // (64 + 4 * time)
    return _picture(ring, 3 * ring, 255 - 2 * ring)


def _picture(*colours: Int64[ndarray, "frame row column"]) -> UInt8[ndarray, "frame row column 3"]:
    """Put three colours together, each wrapped around at 256."""
    return np.stack([colour % 256 for colour in colours], axis=-1).astype(np.uint8)


def _motion(steps: int, number: int) -> Float32[ndarray, "1 step 4 row column"]:
    """Draw a motion field, in sixteenths: dx, dy, their energy and the coverage."""
    step = np.arange(steps)[:, None, None]
    row, column = np.arange(CELLS[0])[:, None], np.arange(CELLS[1])
    dx = (3 * step + 5 * row + 7 * column + number) % 33 - 16
    dy = (11 * step + 2 * row + 3 * column + 5 * number) % 29 - 14
    coverage = (step + row + column) % 17
    field = np.stack(np.broadcast_arrays(dx, dy, np.abs(dx) + np.abs(dy), coverage), axis=1)
    return (field[None] / 16).astype(np.float32)

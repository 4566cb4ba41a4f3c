"""The codec's own motion vectors, gathered on a grid: what the encoder saw moving, for free.

An encoder describes most blocks of a picture as blocks of an earlier one, displaced. Those
displacements are read back from the stream while it is decoded; nothing is estimated here.

The field has one cell for every 16 x 16 pixels and four channels:

========  =====================================================================================
dx, dy    Mean displacement from one frame to the next, rightwards and downwards, in percent of
          the picture's width and height. A pan that crosses the picture in 4 s at 25 frames a
          second reads 1.
energy    Mean length of the displacements, in the same unit: large where dx and dy cancel out.
coverage  Share of the cell that has vectors, 0 to 1; intra-coded blocks have none.
========  =====================================================================================

Source: FFmpeg, libavutil/motion_vector.h. It tells past from future, but not how many frames away a
reference lies: vectors into older references count as if they pointed to the nearest one.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Float64, Shaped
from numpy import ndarray

from polyspace.data.views import View

CELL_PIXELS = 16
"""Side of a cell: a macroblock, so that no block of H.264 or MPEG-4 lies in two cells."""

CHANNELS = ("dx", "dy", "energy", "coverage")


def gather(
    vectors: Shaped[ndarray, " vector"], *, height: int, width: int
) -> Float64[ndarray, "4 row column"]:
    """Sum one frame's vectors per cell: area times dx, dy and length, and area itself.

    Args:
        vectors: FFmpeg's records, as PyAV hands them out.
        height: Rows of the picture, in pixels.
        width: Columns of the picture, in pixels.
    """
    rows, columns = -(-height // CELL_PIXELS), -(-width // CELL_PIXELS)
    # A block's destination is its centre; concealment may put it outside of the picture.
    row = np.clip(vectors["dst_y"] // CELL_PIXELS, 0, rows - 1)
    column = np.clip(vectors["dst_x"] // CELL_PIXELS, 0, columns - 1)
    area = vectors["w"].astype(np.float64) * vectors["h"]
    # The record points from a block to its source: backwards in time if the source is past.
    toward_now = np.where(vectors["source"] < 0, -100.0, 100.0) / vectors["motion_scale"]
    dx = toward_now * vectors["motion_x"] / width
    dy = toward_now * vectors["motion_y"] / height
    cell = row.astype(np.int64) * columns + column
    sums = [
        np.bincount(cell, area * value, rows * columns)
        for value in (dx, dy, np.hypot(dx, dy), np.ones_like(dx))
    ]
    return np.stack(sums).reshape(4, rows, columns)


def average(
    sums: Sequence[Float64[ndarray, "4 row column"] | None], stretches: Sequence[slice]
) -> Float32[ndarray, "step 4 row column"]:
    """Average the frames of each stretch of time.

    Args:
        sums: What `gather` gave for each frame; None for a frame without vectors (intra-coded),
            which counts for nothing.
        stretches: The frames of each step. A step without any vectors is all zeros.
    """
    shape = next(frame.shape for frame in sums if frame is not None)
    field = np.zeros((len(stretches), *shape), np.float32)
    for step, stretch in enumerate(stretches):
        moving = [frame for frame in sums[stretch] if frame is not None]
        if moving:
            total = np.sum(moving, axis=0)
            area = total[3]
            field[step, :3] = total[:3] / np.maximum(area, 1)
            # Blocks predicted from both sides have two vectors, hence the minimum.
            field[step, 3] = np.minimum(area / (len(moving) * CELL_PIXELS**2), 1)
    return field


def stretches(
    seconds: Float64[ndarray, " frame"], duration_seconds: float, view: View, steps: int
) -> list[slice]:
    """Cut a view's window into equal stretches of time and give the frames of each.

    A frame belongs where the middle of its display lies; a stretch shorter than a frame, or past
    the clip's end, takes the one that is on show at its middle.
    """
    edges = span_edges(view, duration_seconds - float(seconds[-1]), steps)
    middles = (seconds + np.append(seconds[1:], duration_seconds)) / 2
    bounds = np.searchsorted(middles, edges)
    shown = np.searchsorted(seconds, (edges[:-1] + edges[1:]) / 2, side="right") - 1
    return [
        slice(first, last) if first < last else slice(on_show, on_show + 1)
        for first, last, on_show in zip(bounds[:-1], bounds[1:], shown, strict=True)
    ]


def span_edges(view: View, standing_seconds: float, steps: int) -> Float64[ndarray, " edge"]:
    """Give where a view's stretches begin, and the end: when its last frame disappears."""
    return np.linspace(view.start_seconds, view.stop_seconds + standing_seconds, steps + 1)

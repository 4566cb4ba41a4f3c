"""Which frames of a clip are looked at, and when they are shown."""

from collections.abc import Collection, Iterable
from fractions import Fraction

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from polyspace.data.views import View
from polyspace.errors import VideoError


def sample_indices(seconds: Float64[ndarray, " frame"], view: View, count: int) -> list[int]:
    """Choose `count` frames whose times lie nearest to an even spread over a view's window.

    Whoever chooses among the chosen gets the same frames again: a clip that holds the union of
    several backbones' frames gives each its own. A shorter clip repeats frames where they stand,
    so that they keep their place in time; past its end it repeats the last one.

    Args:
        seconds: When each frame is shown, ascending.
        view: Where to look.
        count: How many are wanted.
    """
    # Each frame's reign ends half way to the next; on the very boundary the earlier one wins.
    return np.searchsorted((seconds[1:] + seconds[:-1]) / 2, wanted_seconds(view, count)).tolist()


def wanted_seconds(view: View, count: int) -> Float64[ndarray, " sample"]:
    """Spread `count` moments evenly over a view's window, its first and last one included."""
    return np.linspace(view.start_seconds, view.stop_seconds, count)


def union(
    seconds: Float64[ndarray, " frame"], views: Iterable[View], counts: Collection[int]
) -> list[int]:
    """Choose the frames that several backbones want of all views, each once and in order."""
    return sorted(
        {
            index
            for view in views
            for count in counts
            for index in sample_indices(seconds, view, count)
        }
    )


def seconds_from_start(
    stamps: Float64[ndarray, " frame"], rate: Fraction | None
) -> Float64[ndarray, " frame"]:
    """Say when each frame is shown, from the first one on.

    Time stamps that are missing (NaN), repeated or running backwards are no times: there, frames
    are counted at the file's rate.

    Raises:
        VideoError: There is no rate, either.
    """
    if np.isfinite(stamps).all() and (np.diff(stamps) > 0).all():
        return stamps - stamps[0]
    if not rate:
        raise VideoError("has neither time stamps nor a frame rate", "times")
    return np.arange(len(stamps)) / float(rate)

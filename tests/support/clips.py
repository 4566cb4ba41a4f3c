"""Decoded clips made by hand, and requests for files."""

from numpy import ndarray

from polyspace.data.clips import DecodedClip, Request
from polyspace.data.views import View


def ask(path: str, *wanted: int, motion_steps: int | None = None) -> Request:
    """Ask for frames of a file, whose clip is called as the file is."""
    return Request(path, path, wanted, motion_steps)


def whole(
    frames: ndarray, seconds: ndarray, duration_seconds: float, motion: ndarray | None = None
) -> DecodedClip:
    """Make a clip that is looked at once, from its first frame to its last."""
    view = View(0.0, float(seconds[-1]))
    field = None if motion is None else motion[None]
    standing = duration_seconds - float(seconds[-1])
    return DecodedClip(frames, seconds, duration_seconds, standing, (view,), field)


def motion_of(clip: DecodedClip) -> ndarray:
    """Give the motion field of a clip's first view."""
    assert clip.motion is not None
    return clip.motion[0]

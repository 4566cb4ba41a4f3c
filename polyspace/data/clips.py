"""Clips: what a data set lists, what the decoder is asked for, and what it gives."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jaxtyping import Float32, Float64, UInt8
from numpy import ndarray

from polyspace.data.views import View, Viewing
from polyspace.errors import DatasetError, LabelError

Split = Literal["train", "validation", "test"]

WHOLE = Viewing()
"""The whole clip, once, the centre of the picture."""


@dataclass(frozen=True)
class Clip:
    """One entry of a data set."""

    id: str
    """Unique within the data set; the file's name without its ending where that is unique."""
    path: str
    """Where the file is: relative to the data set's root, with forward slashes."""
    label: int
    """Index into the class names."""
    group: str
    """What must not be shared between splits: the source video, picture or person."""


@dataclass(frozen=True)
class Manifest:
    """The clips of one split of one data set."""

    dataset: str
    split: Split
    root: Path
    class_names: tuple[str, ...]
    clips: tuple[Clip, ...]

    def __post_init__(self) -> None:
        """Refuse an empty split, a repeated id and a label outside the classes."""
        if not self.clips:
            raise DatasetError(f"{self.dataset} {self.split} under {self.root} lists no clips")
        twice = [name for name, count in Counter(c.id for c in self.clips).items() if count > 1]
        if twice:
            raise DatasetError(f"{self.dataset} {self.split} lists {twice[0]!r} more than once")
        outside = [c for c in self.clips if not 0 <= c.label < len(self.class_names)]
        if outside:
            raise LabelError(
                f"{len(outside)} clips of {self.dataset} {self.split} have a label outside "
                f"0..{len(self.class_names) - 1}, first {outside[0].id!r} with {outside[0].label}"
            )


@dataclass(frozen=True)
class Request:
    """One file to decode, once for everybody who wants something of it."""

    clip: str
    """The clip's id."""
    path: str
    """Where the file is, relative to the data set's root."""
    wanted: tuple[int, ...]
    """How many frames each backbone wants of every view."""
    motion_steps: int | None = None
    """Temporal steps of the codec's motion field, if one is wanted."""
    viewing: Viewing = WHOLE
    allow_damaged: bool = False
    """Whether what is left of a damaged file is used; otherwise it is refused."""


@dataclass(frozen=True)
class DecodedClip:
    """The frames of one clip that somebody asked for, decoded once for all backbones."""

    frames: UInt8[ndarray, "frame height width 3"]
    """RGB, in the order of their time stamps."""
    seconds: Float64[ndarray, " frame"]
    """When each frame is shown, from the start of the clip."""
    duration_seconds: float
    """End of the last frame of the file, from the start of the clip."""
    standing_seconds: float
    """How long that frame stands; the only display time that a clip knows."""
    views: tuple[View, ...]
    """How it is looked at."""
    motion: Float32[ndarray, "view step channel row column"] | None = None
    """The codec's motion field of each view, if asked for (see `polyspace.data.motion_field`)."""
    damaged: int = 0
    """Frames of the file known to be missing or painted over, at least 1 if it is damaged and
    that was allowed."""

"""Videos in, frames out: one pass of the decoder for all backbones.

Whatever goes wrong with a file is a `VideoError` that costs one clip. Runs in spawned workers, so
it knows numpy and PyAV but not torch.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from jaxtyping import Float32, Float64, UInt8
from numpy import ndarray

from polyspace.data import motion_field
from polyspace.data.clips import DecodedClip, Request
from polyspace.data.sampling import seconds_from_start, union
from polyspace.data.video_file import Limits, locate, open_video
from polyspace.data.views import View
from polyspace.errors import VideoError

SHORT_SIDE_PIXELS = 512
"""Larger pictures are scaled down by a whole number until their shorter side is at most this."""

DEFAULT_LIMITS = Limits()


@dataclass
class _Film:
    """What one pass over a file collects."""

    codec: str
    rate: Fraction | None
    size: tuple[int, int] | None = None
    stamps: list[float | None] = field(default_factory=list[float | None])
    """When each frame is shown, by the file; None where it doesn't say."""
    last_seconds: float = 0.0
    """How long the last frame is shown, by the file; 0 where it doesn't say."""
    pictures: list[UInt8[ndarray, "height width 3"]] = field(default_factory=list[ndarray])
    vectors: list[Float64[ndarray, "4 row column"] | None] = field(
        default_factory=list[ndarray | None]
    )

    @property
    def seconds(self) -> Float64[ndarray, " frame"]:
        """When each frame is shown, from the first one on."""
        return seconds_from_start(self.stamps, self.rate)

    @property
    def duration_seconds(self) -> float:
        """When the last frame disappears."""
        frame = self.last_seconds or (float(1 / self.rate) if self.rate else 0.0)
        return float(self.seconds[-1]) + frame


def decode(root: Path, request: Request, limits: Limits = DEFAULT_LIMITS) -> DecodedClip:
    """Decode one file and keep the frames that somebody wants.

    Frames are counted while they are read; the number in the header serves only to notice files
    that were cut short. Pictures keep their size, unless they exceed `SHORT_SIDE_PIXELS`.

    Args:
        root: Folder of the data set; nothing outside of it is opened.
        request: Which file, and what of it: the clip holds the union, each frame once.
        limits: Where to give up.

    Raises:
        VideoError: The file is not one that may be opened, holds no video, is damaged, or exceeds
            a limit. The message names the file and the reason.
    """
    path = request.path
    try:
        return _decode(locate(root, path), request, limits)
    except VideoError as error:
        raise VideoError(f"{path}: {error}", error.reason) from error
    except FFmpegError as error:
        raise VideoError(f"{path}: can't be decoded: {error.strerror}", "damaged") from error
    except MemoryError as error:
        raise VideoError(f"{path}: takes more memory than a decoder is given", "memory") from error
    # Hostile files raise anything: UnicodeDecodeError, IndexError, BlockingIOError, …
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise VideoError(f"{path}: can't be decoded: {what}", "damaged") from error


def _decode(file: Path, request: Request, limits: Limits) -> DecodedClip:
    """Choose frames by the packets' times, decode, and check the choice by the frames' own."""
    motion = request.motion_steps is not None
    keep = _chosen(_packet_seconds(file, limits), request)
    film = _watch(file, keep, limits, motion=motion)
    chosen = _chosen(film.seconds, request)
    if chosen != keep:
        # Packed B-frames, edit lists: the packets told another story than the frames.
        film = _watch(file, chosen, limits, motion=motion)
    views = request.viewing.views(request.clip, float(film.seconds[-1]))
    return DecodedClip(
        frames=np.stack(film.pictures) if chosen else np.empty((0, 1, 1, 3), np.uint8),
        seconds=film.seconds[chosen],
        duration_seconds=film.duration_seconds,
        standing_seconds=film.duration_seconds - float(film.seconds[-1]),
        views=views,
        motion=_motion(film, views, request.motion_steps) if request.motion_steps else None,
    )


def _chosen(seconds: Float64[ndarray, " frame"], request: Request) -> list[int]:
    """Say which frames are wanted, by the times of all of them."""
    views = request.viewing.views(request.clip, float(seconds[-1]))
    return union(seconds, views, request.wanted)


def _packet_seconds(file: Path, limits: Limits) -> Float64[ndarray, " frame"]:
    """Say when each frame is shown without decoding any.

    Raises:
        VideoError: There are none, too many, or fewer than the header promises.
    """
    stamps: list[float | None] = []
    with open_video(file, limits) as (container, stream):
        for packet in container.demux(stream):
            if packet.is_corrupt:
                raise VideoError(f"is damaged at frame {len(stamps)}", "damaged")
            if packet.size and not packet.is_discard:
                stamps.append(None if packet.pts is None else float(packet.pts * packet.time_base))
            limits.check_frames(len(stamps))
        # Edit lists of the MP4 family cut frames on purpose; elsewhere fewer means truncated.
        if len(stamps) < stream.frames and "mp4" not in container.format.name:
            raise VideoError(
                f"is truncated: {len(stamps)} of {stream.frames} frames are there", "truncated"
            )
        if not stamps:
            raise VideoError("has no frame that can be decoded", "no-video")
        # Packets come in the order of decoding.
        known = sorted(stamp for stamp in stamps if stamp is not None)
        rate = stream.average_rate or stream.guessed_rate
        return seconds_from_start(known if len(known) == len(stamps) else stamps, rate)


def _watch(file: Path, keep: Collection[int], limits: Limits, *, motion: bool) -> _Film:
    """Decode a file from start to end, in the order of presentation; convert the frames to keep."""
    options = {"flags2": "+export_mvs"} if motion else {}
    kept = frozenset(keep)
    with open_video(file, limits, **options) as (container, stream):
        rate = stream.average_rate or stream.guessed_rate
        film = _Film(codec=stream.codec_context.name, rate=rate)
        for index, frame in enumerate(container.decode(stream)):
            limits.check_frames(index + 1)
            _note(film, frame)
            limits.check_seconds((frame.time or 0.0) - (film.stamps[0] or 0.0))
            if index in kept:
                film.pictures.append(_picture(frame))
            if motion:
                film.vectors.append(_vectors(frame))
    if not film.stamps:
        raise VideoError("has no frame that can be decoded", "no-video")
    return film


def _note(film: _Film, frame: VideoFrame) -> None:
    """Note when a frame is shown; refuse damaged ones, and those of another size."""
    index, size = len(film.stamps), (frame.width, frame.height)
    if frame.is_corrupt:
        raise VideoError(f"is damaged at frame {index}", "damaged")
    if film.size not in (None, size):
        raise VideoError(f"changes its size from {film.size} to {size} at frame {index}", "damaged")
    film.size = size
    film.stamps.append(frame.time)
    film.last_seconds = float(frame.duration * (frame.time_base or 0))


def _picture(frame: VideoFrame) -> UInt8[ndarray, "height width 3"]:
    """Convert one frame to RGB, at its own size unless that is very large."""
    shrink = -(-min(frame.width, frame.height) // SHORT_SIDE_PIXELS)
    return frame.reformat(
        width=frame.width // shrink,
        height=frame.height // shrink,
        format="rgb24",
        interpolation=Interpolation.AREA,
    ).to_ndarray()


def _vectors(frame: VideoFrame) -> Float64[ndarray, "4 row column"] | None:
    """Gather a frame's motion vectors, if it has any."""
    vectors = frame.side_data.get("MOTION_VECTORS")
    if vectors is None:
        return None
    return motion_field.gather(vectors.to_ndarray(), height=frame.height, width=frame.width)


def _motion(
    film: _Film, views: Sequence[View], steps: int
) -> Float32[ndarray, "view step 4 row column"]:
    """Average the motion vectors over equal stretches of each view's time.

    Raises:
        VideoError: There are none.
    """
    if all(frame is None for frame in film.vectors):
        raise VideoError(
            f"its codec {film.codec} left no motion vectors: "
            f"expected H.264 or MPEG-4 with frames that refer to others",
            "motion",
        )
    seconds, end = film.seconds, film.duration_seconds
    return np.stack(
        [
            motion_field.average(film.vectors, motion_field.stretches(seconds, end, view, steps))
            for view in views
        ]
    )

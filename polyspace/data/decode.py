"""Videos in, frames out: one pass of the decoder for all backbones.

Whatever goes wrong with a file is a `VideoError` that costs one clip. Runs in spawned workers, so
it knows numpy and PyAV but not torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from av.error import FFmpegError
from jaxtyping import Float32, Float64
from numpy import ndarray

from polyspace.data import motion_field
from polyspace.data.clips import DecodedClip, Request
from polyspace.data.footage import Decoder, Footage
from polyspace.data.sampling import union
from polyspace.data.timeline import Timeline, read
from polyspace.data.video_file import Limits, locate, open_video
from polyspace.data.views import View
from polyspace.errors import VideoError

DEFAULT_LIMITS = Limits()


def decode(root: Path, request: Request, limits: Limits = DEFAULT_LIMITS) -> DecodedClip:
    """Decode one file and keep the frames that somebody wants.

    Pictures keep their size, unless they are very large, and stand upright. Damage is
    looked for in the packets, in all that is decoded and in what should have come out of it; what
    nobody wants and no wanted frame refers to is not decoded.

    Args:
        root: Folder of the data set; nothing outside of it is opened.
        request: Which file, and what of it: the clip holds the union, each frame once.
        limits: Where to give up.

    Raises:
        VideoError: The file is not one that may be opened, holds no video, is damaged (unless that
            is allowed), or exceeds a limit. The message names the file and the reason.
    """
    path = request.path
    try:
        return _decode(locate(root, path), request, limits)
    except VideoError as error:
        raise VideoError(f"{path}: {error}", error.reason) from error
    except MemoryError as error:  # FFmpeg's too
        raise VideoError(f"{path}: takes more memory than a decoder is given", "memory") from error
    except FFmpegError as error:
        raise VideoError(f"{path}: can't be decoded: {error.strerror}", "damaged") from error
    # Hostile files raise anything: UnicodeDecodeError, IndexError, BlockingIOError, …
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise VideoError(f"{path}: can't be decoded: {what}", "damaged") from error


def _decode(file: Path, request: Request, limits: Limits) -> DecodedClip:
    """Decode a file; a damaged one, if that is allowed, once more for what is left of it."""
    try:
        return _watch(file, request, limits)
    except (VideoError, FFmpegError) as error:
        broken = not isinstance(error, VideoError) or error.reason in ("damaged", "truncated")
        if not (broken and request.allow_damaged):
            raise
        return _watch(file, request, limits, lenient=True)


def _watch(file: Path, request: Request, limits: Limits, *, lenient: bool = False) -> DecodedClip:
    """Read the packets, choose frames by their times, decode them, and check the choice."""
    options = {"flags2": "+export_mvs"} if request.motion_steps else {}
    if lenient:
        options |= {"err_detect": "0", "flags": "+output_corrupt"}
    with open_video(file, limits, **options) as (container, stream):
        codec = stream.codec_context
        codec.copy_opaque = True
        timeline = read(container, stream, limits, lenient=lenient)
        decoder = Decoder(codec, timeline, bool(request.motion_steps), lenient)
        choice = _Choice.of(timeline, timeline.shown, request)
        plan = timeline.skippable and not lenient
        footage = decoder.planned(*choice.packets()) if plan else None
        if footage is None:
            footage = decoder.sequential(choice.frames)
            promised, choice = choice.frames, _Choice.of(timeline, footage.order, request)
            if choice.frames != promised:
                footage = decoder.sequential(choice.frames)
        # Not all damage leaves a mark on a frame.
        damaged = max(footage.damaged, 1) if lenient else 0
        return _clip(choice, footage, codec.name, damaged)


@dataclass(frozen=True)
class _Choice:
    """What is wanted of a clip whose frames are known."""

    order: Sequence[int]
    """Packets of all frames, in the order of presentation."""
    seconds: Float64[ndarray, " frame"]
    """When each of them is shown, from the first one on."""
    duration_seconds: float
    """When the last one disappears."""
    views: tuple[View, ...]
    frames: Sequence[int]
    """Wanted ones among them."""
    stretches: Sequence[Sequence[slice]]
    """Those whose motion is wanted: for each view, those of each step."""

    @classmethod
    def of(cls, timeline: Timeline, order: Sequence[int], request: Request) -> "_Choice":
        """Choose among the frames of some packets."""
        seconds = timeline.seconds_of(order)
        end = float(seconds[-1]) + timeline.standing_seconds(order[-1])
        views = request.viewing.views(request.clip, float(seconds[-1]))
        steps = request.motion_steps
        stretches = [motion_field.stretches(seconds, end, v, steps) for v in views] if steps else []
        wanted = union(seconds, views, request.wanted)
        return cls(order, seconds, end, views, wanted, stretches)

    def packets(self) -> tuple[set[int], set[int]]:
        """Give the packets whose pictures are wanted, and those whose motion is."""
        moving = (n for steps in self.stretches for step in steps for n in self.order[step])
        return {self.order[frame] for frame in self.frames}, set(moving)


def _clip(choice: _Choice, footage: Footage, codec: str, damaged: int) -> DecodedClip:
    return DecodedClip(
        frames=footage.pictures,
        seconds=choice.seconds[choice.frames],
        duration_seconds=choice.duration_seconds,
        standing_seconds=choice.duration_seconds - float(choice.seconds[-1]),
        views=choice.views,
        motion=_motion(choice, footage, codec) if choice.stretches else None,
        damaged=damaged,
    )


def _motion(
    choice: _Choice, footage: Footage, codec: str
) -> Float32[ndarray, "view step 4 row column"]:
    """Average the motion vectors over equal stretches of each view's time.

    Raises:
        VideoError: There are none.
    """
    if not footage.vectors:
        raise VideoError(
            f"its codec {codec} left no motion vectors: "
            f"expected H.264 or MPEG-4 with frames that refer to others",
            "motion",
        )
    vectors = [footage.vectors.get(packet) for packet in choice.order]
    fields = [motion_field.average(vectors, steps) for steps in choice.stretches]
    return footage.orientation.motion(np.stack(fields))

"""What a file says before anything is decoded: its packets, and when each frame is shown.

Time stamps decide on the frames, so they are believed only where the container has any of its own:
AVI knows no order but that of decoding, which B-frames don't keep. There, and where stamps are
missing or repeated, frames have to be counted while all of them are decoded.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream
from jaxtyping import Float64
from numpy import ndarray

from polyspace.data.frame_numbers import first_loss
from polyspace.data.sampling import seconds_from_start
from polyspace.data.video_file import Limits
from polyspace.errors import VideoError

if TYPE_CHECKING:
    Coded = Packet[VideoStream]
else:
    Coded = Packet  # which is generic on paper only

HOLE = 1.5
"""Usual steps from frame to frame that make an unusual one."""

STAMP_SECONDS = 0.002
"""Matroska's stamps are in milliseconds, and rounded."""


@dataclass(frozen=True)
class Timeline:
    """All packets of a file's moving pictures."""

    packets: Sequence[Coded]
    """In the order of decoding. Each carries its number as `opaque`, which its frame inherits."""
    shown: Sequence[int]
    """Numbers of those that are shown, in the order of presentation where that is known."""
    ordered: bool
    """Whether it is known; otherwise they come in the order of decoding."""
    stamps: Float64[ndarray, " packet"]
    """When each packet's frame is shown, in seconds as the file counts them; NaN: it isn't said."""
    time_base: Fraction
    rate: Fraction | None
    """Frames per second, by the header."""
    skippable: bool = False
    """Whether what nobody wants may be left out."""

    @cached_property
    def steps(self) -> Float64[ndarray, " step"]:
        """Give the seconds from each frame to the next."""
        return np.diff(self.seconds_of(self.shown))

    @property
    def has_holes(self) -> bool:
        """Say whether some step is unusually long: a pause, or a frame that was lost."""
        return len(self.steps) > 0 and bool(self.steps.max() > HOLE * np.median(self.steps))

    def seconds_of(self, numbers: Sequence[int]) -> Float64[ndarray, " frame"]:
        """Say when the frames of some packets are shown, from the first of them on."""
        stamps = self.stamps[numbers] if self.ordered else np.full(len(numbers), np.nan)
        return seconds_from_start(stamps, self.rate)

    def precedes(self, number: int, other: int) -> bool:
        """Say whether a packet is shown before another, as far as the file says."""
        return bool(self.stamps[number] < self.stamps[other])

    def standing_seconds(self, number: int) -> float:
        """Say how long a packet's frame is shown, by the packet or else by the header's rate."""
        stated = (self.packets[number].duration or 0) * self.time_base
        return float(stated or (1 / self.rate if self.rate else 0))


def read(
    container: InputContainer, stream: VideoStream, limits: Limits, *, lenient: bool = False
) -> Timeline:
    """Read all packets of a stream.

    Args:
        container: An open file.
        stream: Its moving pictures.
        limits: Where to give up.
        lenient: Take what there is of a damaged or truncated file.

    Raises:
        VideoError: There are none, too many, or, unless lenient, fewer than the file promises.
    """
    packets = list[Coded]()
    for packet in _whole(container.demux(stream), lenient=lenient):
        if packet.is_corrupt and not lenient:
            raise VideoError(f"is damaged at packet {len(packets)}", "damaged")
        # A tuple of its own for each: PyAV knows what it carries by the object's address.
        packet.opaque = (len(packets),)
        packets.append(packet)
        limits.check_frames(len(packets))
    timeline = _arrange(packets, stream, in_avi=container.format.name == "avi")
    limits.check_seconds(float(timeline.seconds_of(timeline.shown)[-1]))
    if not lenient:
        _check_complete(timeline, container, stream)
    return timeline


def _whole(packets: Iterable[Coded], *, lenient: bool) -> Iterable[Coded]:
    """Give the packets that hold something, up to where a damaged file can be read."""
    try:
        yield from (packet for packet in packets if packet.size)
    except FFmpegError:
        if not lenient:
            raise


def _arrange(packets: Sequence[Coded], stream: VideoStream, *, in_avi: bool) -> Timeline:
    """Put the packets that are shown into the order of presentation, where the file says so.

    Raises:
        VideoError: None is shown.
    """
    # Edit lists mark what is decoded for others' sake only.
    shown = [number for number, packet in enumerate(packets) if not packet.is_discard]
    if not shown:
        raise VideoError("has no frame that can be decoded", "no-video")
    base, rate = stream.time_base or Fraction(1), stream.average_rate or stream.guessed_rate
    # One division of whole numbers rounds once; times a float it would be twice.
    pts = np.array([np.nan if packet.pts is None else packet.pts for packet in packets], np.float64)
    stamps = pts * base.numerator / base.denominator
    ordered = not (in_avi and stream.codec_context.has_b_frames) and _distinct(stamps[shown])
    if ordered:
        shown.sort(key=stamps.tolist().__getitem__)
    timeline = Timeline(packets, shown, ordered, stamps, base, rate)
    return replace(timeline, skippable=ordered and _skippable(timeline, stream))


def _distinct(stamps: Float64[ndarray, " frame"]) -> bool:
    return bool(np.isfinite(stamps).all()) and len(np.unique(stamps)) == len(stamps)


def _skippable(timeline: Timeline, stream: VideoStream) -> bool:
    """Say whether what is not decoded makes no difference to what is."""
    return (
        # A recording that begins in the middle: only trying tells which frames can be decoded.
        timeline.packets[0].is_keyframe
        and not timeline.precedes(timeline.shown[0], 0)
        # New parameters in mid-stream: what a jump lands on might need those before.
        and not any(p.is_keyframe and p.has_sidedata("new_extradata") for p in timeline.packets)
        # What MPEG-4 leaves out after a loss is the only sign of it.
        and not (stream.codec_context.name == "mpeg4" and timeline.has_holes)
    )


def _check_complete(timeline: Timeline, container: InputContainer, stream: VideoStream) -> None:
    """Compare what there is with what the header promises, and look into holes in time.

    Raises:
        VideoError: Frames are missing.
    """
    count, promised = len(timeline.packets), stream.frames
    # Edit lists of the MP4 family cut frames on purpose.
    if count < promised and "mp4" not in container.format.name:
        last = timeline.packets[-1].dts
        cut = last is None or last + 1 < promised
        raise VideoError(
            f"is {'truncated' if cut else 'damaged'}: {count} of {promised} frames are there",
            "truncated" if cut else "damaged",
        )
    if not timeline.ordered:
        return
    _check_end(timeline, stream)
    if timeline.has_holes and stream.codec_context.name == "h264":
        lost = first_loss(stream.codec_context.extradata or b"", map(bytes, timeline.packets))
        if lost is not None:
            raise VideoError(f"is damaged: a frame is missing before packet {lost}", "damaged")


def _check_end(timeline: Timeline, stream: VideoStream) -> None:
    """Compare the end with the one that Matroska's tags promise.

    Raises:
        VideoError: It comes too early.
    """
    promised = _tagged_seconds(stream)
    if promised is None or not len(timeline.steps):
        return
    last = timeline.shown[-1]
    stated = float((timeline.packets[last].duration or 0) * timeline.time_base)
    end = float(timeline.stamps[last]) + stated
    # Where the last frame's duration isn't stated it may stand for as long as any.
    slack = np.median(timeline.steps) / 2 if stated else timeline.steps.max()
    if promised - end > slack + STAMP_SECONDS:
        raise VideoError(f"is truncated: ends at {end:.2f} s of {promised:.2f} s", "truncated")


def _tagged_seconds(stream: VideoStream) -> float | None:
    """Read the tag that FFmpeg and mkvmerge write for each stream: hours:minutes:seconds."""
    try:
        hours, minutes, seconds = map(float, stream.metadata.get("DURATION", "").split(":"))
    except ValueError:
        return None
    return 3600 * hours + 60 * minutes + seconds

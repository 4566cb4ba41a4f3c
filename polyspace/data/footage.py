"""The two ways of decoding: as little as the wanted frames need, and everything in turn.

Packets carry numbers that their frames inherit, so that each frame is known for what it is in
whatever order frames come. A plan that doesn't give exactly the frames it promised is given up for
the other way, which alone decides whether a file is damaged.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from jaxtyping import Float64, UInt8
from numpy import ndarray

from polyspace.data import motion_field
from polyspace.data.orientation import UPRIGHT, Orientation
from polyspace.data.plan import runs
from polyspace.data.timeline import Coded, Timeline
from polyspace.errors import VideoError

SHORT_SIDE_PIXELS = 512
"""Larger pictures are scaled down by a whole number until their shorter side is at most this."""

PLACEHOLDER_BYTES = 19
"""MPEG-4 packets up to this size may hold no picture, but say that the last one stands still.

Source: FFmpeg, libavcodec/bsf/mpeg4_unpack_bframes.c, MAX_NVOP_SIZE.
"""

VP8_SHOWN = 0x10
"""Bit of a VP8 packet's first byte. Source: RFC 6386, 9.1."""


@dataclass
class Footage:
    """What was decoded."""

    wanted: int
    """Pictures that shall be kept."""
    order: list[int] = field(default_factory=list[int])
    """Numbers of the packets whose frames came out, as they came: in the order of presentation."""
    pictures: UInt8[ndarray, "frame height width 3"] = field(
        default_factory=lambda: np.empty((0, 1, 1, 3), np.uint8)
    )
    """RGB of the wanted frames, upright, as they came."""
    kept: int = 0
    """How many of them there are yet."""
    vectors: dict[int, Float64[ndarray, "4 row column"]] = field(default_factory=dict[int, ndarray])
    """Sums of the motion vectors of the frames that have any; as stored."""
    orientation: Orientation = UPRIGHT
    size: tuple[int, int] | None = None
    damaged: int = 0
    """Frames that the decoder painted over, or that are missing."""

    def keep(self, picture: UInt8[ndarray, "height width 3"]) -> None:
        """Put a picture behind those that are kept already."""
        if not self.kept:
            # Room for all at once: gathered one by one, each would be copied into fresh memory.
            self.pictures = np.empty((self.wanted, *picture.shape), np.uint8)
        self.pictures[self.kept] = picture
        self.kept += 1


@dataclass(frozen=True)
class Decoder:
    """A codec with the packets of one file."""

    codec: VideoCodecContext
    timeline: Timeline
    motion: bool
    """Whether motion vectors are wanted."""
    lenient: bool = False
    """Whether damaged frames are taken for what they are."""
    _reformatter: VideoReformatter = field(default_factory=VideoReformatter)

    def planned(self, pictures: Collection[int], moving: Collection[int]) -> Footage | None:
        """Decode what some frames need, and nothing else.

        Args:
            pictures: Packets whose pictures are wanted.
            moving: Packets whose motion vectors are.

        Returns:
            None where the frames are not the ones that the time stamps promised.
        """
        footage, wanted = Footage(len(pictures)), frozenset(pictures).union(moving)
        try:
            for run in runs(self.timeline, wanted):
                for number, frame in self._decode(run, wanted):
                    self._take(footage, number, frame, picture=number in pictures)
        except (FFmpegError, VideoError):
            return None
        ascending = (np.diff(self.timeline.stamps[footage.order]) > 0).all()
        promised = wanted.issubset(footage.order) and ascending
        return footage if promised else None

    def sequential(self, places: Collection[int]) -> Footage:
        """Decode everything.

        Args:
            places: Which pictures are wanted, counted in the order of presentation.

        Raises:
            VideoError: A frame is damaged or missing, unless lenient.
        """
        self.codec.flush_buffers()
        footage, all_of_them = Footage(len(places)), range(len(self.timeline.packets))
        for number, frame in self._decode(all_of_them, all_of_them):
            self._take(footage, number, frame, picture=len(footage.order) in places)
        if not footage.order:
            raise VideoError("has no frame that can be decoded", "no-video")
        missing = self._missing(footage)
        if missing and not self.lenient:
            raise VideoError(
                f"is damaged: {len(missing)} of {len(self.timeline.shown)} frames can't be "
                f"decoded, the first in packet {missing[0]}",
                "damaged",
            )
        footage.damaged += len(missing)
        return footage

    def _decode(
        self, numbers: Iterable[int], wanted: Collection[int]
    ) -> Iterator[tuple[int, VideoFrame]]:
        """Decode packets, leaving out unwanted frames that no other refers to."""
        for number in numbers:
            self.codec.skip_frame = "DEFAULT" if number in wanted else "NONREF"
            yield from self._frames(self.timeline.packets[number])
        yield from self._frames(None)
        # After its end a decoder takes nothing more until it is flushed.
        self.codec.flush_buffers()

    def _frames(self, packet: Coded | None) -> Iterator[tuple[int, VideoFrame]]:
        try:
            for frame in self.codec.decode(packet):
                # The number that `timeline.read` gave the packet.
                yield frame.opaque[0], frame  # pyright: ignore[reportIndexIssue]
        except FFmpegError:
            if not self.lenient:
                raise

    def _take(self, footage: Footage, number: int, frame: VideoFrame, *, picture: bool) -> None:
        """Note a frame; keep what is wanted of it.

        Raises:
            VideoError: It is damaged, unless lenient, or of another size than those before.
        """
        size = (frame.width, frame.height)
        if frame.is_corrupt and not self.lenient:
            raise VideoError(f"is damaged at packet {number}", "damaged")
        if footage.size not in (None, size):
            raise VideoError(
                f"changes its size from {footage.size} to {size} at packet {number}", "damaged"
            )
        if footage.size is None:
            footage.size, footage.orientation = size, Orientation.of(frame)
        footage.order.append(number)
        footage.damaged += frame.is_corrupt
        if picture:
            footage.keep(footage.orientation.picture(self._picture(frame)))
        vectors = frame.side_data.get("MOTION_VECTORS") if self.motion else None
        if vectors is not None:
            footage.vectors[number] = motion_field.gather(
                vectors.to_ndarray(), height=frame.height, width=frame.width
            )

    def _picture(self, frame: VideoFrame) -> UInt8[ndarray, "height width 3"]:
        """Convert one frame to RGB, at its own size unless that is very large."""
        shrink = -(-min(frame.width, frame.height) // SHORT_SIDE_PIXELS)
        return self._reformatter.reformat(
            frame,
            width=frame.width // shrink,
            height=frame.height // shrink,
            format="rgb24",
            interpolation=Interpolation.AREA,
            # Files are decoded side by side; threads for one picture take longer to start.
            threads=1,
        ).to_ndarray()

    def _missing(self, footage: Footage) -> list[int]:
        """Give the packets that should have given a frame and have not."""
        gone = set(self.timeline.shown).difference(footage.order)
        return sorted(number for number in gone if not self._excused(number))

    def _excused(self, number: int) -> bool:
        """Say whether a packet gives no frame of its own even where nothing is damaged."""
        packets, name = self.timeline.packets, self.codec.name
        if name == "mpeg4" and packets[number].size <= PLACEHOLDER_BYTES:
            return True
        if name == "vp8" and not bytes(packets[number])[0] & VP8_SHOWN:
            return True
        # A recording that begins in the middle: frames that refer to what was before.
        key = next((n for n, packet in enumerate(packets) if packet.is_keyframe), number)
        return number < key or self.timeline.precedes(number, key)

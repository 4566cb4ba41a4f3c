"""Opening video files that come from strangers.

Only plain files under the data set's root are opened, with the few containers and the one protocol
that a data set needs, and within limits. Damage is refused rather than concealed: a decoder that
paints over a lost slice would hand out plausible features of something else.
"""

import stat
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from polyspace.errors import VideoError

OPEN_OPTIONS: Mapping[str, str] = {
    # A playlist or an address among the files must not make us read another file or the network.
    "protocol_whitelist": "file",
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts",
}


@dataclass(frozen=True)
class Limits:
    """Where reading of one file gives up."""

    pixels: int = 2**24
    """Of one picture; the decoder itself refuses more."""
    frames: int = 20_000
    seconds: float = 900.0

    def check_frames(self, count: int) -> None:
        """Refuse more frames than that."""
        if count > self.frames:
            raise VideoError(f"has more than {self.frames} frames", "limit")

    def check_seconds(self, seconds: float) -> None:
        """Refuse to go on for longer than that."""
        if seconds > self.seconds:
            raise VideoError(f"is longer than {self.seconds:g} s", "limit")

    def check_size(self, width: int, height: int) -> None:
        """Refuse pictures larger than that."""
        if width * height > self.pixels:
            raise VideoError(
                f"has pictures of {width}x{height}, more than {self.pixels} pixels", "limit"
            )


def locate(root: Path, path: str) -> Path:
    """Find a plain file under a root, following no link out of it.

    Raises:
        VideoError: It is absolute, outside, missing, empty, or not a plain file.
    """
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "://" in path:
        raise VideoError("is not a path relative to the data set's root", "path")
    home = root.resolve()
    file = (home / path).resolve()
    if not file.is_relative_to(home):
        raise VideoError(f"links to {file}, outside of the data set's root", "path")
    try:
        found = file.stat()
    except OSError as error:
        raise VideoError(f"can't be read: {error.strerror}", "missing") from error
    if not stat.S_ISREG(found.st_mode):
        raise VideoError("is not a plain file", "path")
    if not found.st_size:
        raise VideoError("is empty", "missing")
    return file


@contextmanager
def open_video(
    file: Path, limits: Limits, **codec_options: str
) -> Generator[tuple[InputContainer, VideoStream]]:
    """Open a file at its stream of moving pictures, and close it again.

    Args:
        file: As `locate` gives it.
        limits: What the decoder itself is told to refuse.
        codec_options: FFmpeg's options for the decoder.
    """
    guard: Any = [{"max_pixels": str(limits.pixels)}]  # PyAV's stub says list[str]
    with av.open(str(file), options=dict(OPEN_OPTIONS), stream_options=guard) as container:
        stream = _moving_pictures(container)
        limits.check_size(stream.width, stream.height)
        codec = stream.codec_context
        # Files are decoded side by side in processes, which scales better than threads do.
        codec.thread_count = 1
        # The options above were for a look at the header, which may lie about the size.
        codec.options = {
            "max_pixels": str(limits.pixels),
            "err_detect": "explode",
            **codec_options,
        }
        yield container, stream


def _moving_pictures(container: InputContainer) -> VideoStream:
    """Give the first video stream that isn't cover art."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
    raise VideoError(f"has no video stream (found {kinds})", "no-video")

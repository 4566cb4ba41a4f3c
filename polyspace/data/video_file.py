"""Opening video files that come from strangers.

Only plain files under the data set's root are opened, with the few containers and the one protocol
that a data set needs, and within limits. Damage is refused rather than concealed: a decoder that
paints over a lost slice would hand out plausible features of something else.
"""

import os
import stat
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import av
from av.container import InputContainer
from av.error import ArgumentError, FileNotFoundError, InvalidDataError, PermissionError
from av.stream import Disposition
from av.video.stream import VideoStream

from polyspace.errors import VideoError

OPEN_OPTIONS: Mapping[str, str] = {
    # A playlist or an address among the files must not make us read another file or the network.
    "protocol_whitelist": "file",
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts",
}


HANDLES = Path("/proc/self/fd")
"""Where Linux names the files that a process has open."""


@dataclass(frozen=True)
class Limits:
    """Where reading of one file gives up."""

    size_bytes: int = 4 * 2**30
    """Of the file."""
    pixels: int = 2**24
    """Of one picture; the decoder itself refuses more."""
    frames: int = 20_000
    seconds: float = 900.0

    def check_bytes(self, size: int) -> None:
        """Refuse a larger file."""
        if size > self.size_bytes:
            raise VideoError(f"has {size} bytes, more than {self.size_bytes}", "limit")

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
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or "://" in path or not path.isprintable():
        raise VideoError("is not a path relative to the data set's root", "path")
    home = root.resolve()
    try:
        file = (home / path).resolve()
        found = file.stat()
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        why = error.strerror if isinstance(error, OSError) else "its links lead in a circle"
        raise VideoError(f"can't be read: {why}", "missing") from error
    if not file.is_relative_to(home):
        raise VideoError(f"links to {file}, outside of the data set's root", "path")
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

    Raises:
        VideoError: It isn't that file any more, is too large, of another format, or has no video.
    """
    with _held(file, limits) as name, _container(name, limits) as container:
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


@contextmanager
def _held(file: Path, limits: Limits) -> Generator[str]:
    """Open the file that was located, and give a name that can't lead to another one.

    Between the look at a path and its use somebody may put a link in its place.
    """
    try:
        # A pipe that took the file's place would keep a plain open waiting.
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise VideoError(f"can't be read: {error.strerror}", "missing") from error
    try:
        limits.check_bytes(os.fstat(handle).st_size)
        name = HANDLES / str(handle)
        if not HANDLES.is_dir():
            yield str(file)
        elif os.readlink(name) != str(file):
            raise VideoError("was put elsewhere while it was opened", "path")
        else:
            yield str(name)
    finally:
        os.close(handle)


def _container(name: str, limits: Limits) -> InputContainer:
    """Open what FFmpeg takes for a container of an accepted format."""
    guard: Any = [{"max_pixels": str(limits.pixels)}]  # PyAV's stub says list[str]
    try:
        return av.open(name, options=dict(OPEN_OPTIONS), stream_options=guard)
    except (InvalidDataError, ArgumentError, FileNotFoundError, PermissionError) as error:
        accepted = OPEN_OPTIONS["format_whitelist"].replace(",", ", ")
        raise VideoError(
            f"is damaged at its head, or of no format that is accepted ({accepted})", "format"
        ) from error


def _moving_pictures(container: InputContainer) -> VideoStream:
    """Give the first video stream that isn't cover art."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    kinds = {"picture" if s.type == "video" else s.type for s in container.streams}
    found = ", ".join(sorted(kinds)) or "nothing"
    raise VideoError(f"has no video stream (found {found})", "no-video")

"""Decoded clips on their way from one process to another: frames go through shared memory.

Carried through a pipe they would be copied four times, in small pieces: 205 ms of processor time
for 64 frames of 512 x 512, against 63 ms (docs/extraction.md).
"""

import errno
import os
from dataclasses import dataclass, replace
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from polyspace.data.clips import DecodedClip
from polyspace.errors import ConfigError

SHARED = Path("/dev/shm")
"""Where Linux keeps shared memory, whose size is often limited in containers."""


@dataclass(frozen=True)
class Parcel:
    """A clip whose frames have no pixels, and where these are."""

    clip: DecodedClip
    shape: tuple[int, ...]
    name: str
    """Of the block that holds the frames; there is none where there are no frames."""


def announce(name: str) -> None:
    """Note a block that somebody is going to make, so that it is removed if all of us are killed.

    Whoever makes it notes it afterwards only, and may be killed in between.
    """
    resource_tracker.register(f"/{name}", "shared_memory")


def pack(clip: DecodedClip, name: str) -> Parcel:
    """Put a clip's frames into a new block of shared memory; whoever unpacks it removes it.

    Raises:
        ConfigError: Shared memory is full.
        MemoryError: This process may not have that much.
    """
    if clip.frames.size:
        _reserve_and_fill(name, clip.frames)
    left = np.empty((len(clip.frames), 0, 0, 3), np.uint8)
    return Parcel(replace(clip, frames=left), clip.frames.shape, name)


def unpack(parcel: Parcel) -> DecodedClip:
    """Take a clip's frames out of shared memory, and remove the block."""
    if 0 in parcel.shape:
        discard(parcel.name)
        return replace(parcel.clip, frames=np.empty(parcel.shape, np.uint8))
    block = SharedMemory(parcel.name)
    frames = np.ndarray(parcel.shape, np.uint8, block.buf).copy()
    block.close()
    block.unlink()
    return replace(parcel.clip, frames=frames)


def discard(name: str) -> None:
    """Remove the block of a parcel that nobody unpacks, if it was made."""
    try:
        block = SharedMemory(name)
    except FileNotFoundError:
        # Who failed to make it may have had it forgotten, and nothing can be forgotten twice.
        announce(name)
        resource_tracker.unregister(f"/{name}", "shared_memory")
    else:
        block.close()
        block.unlink()


def _reserve_and_fill(name: str, frames: UInt8[ndarray, "frame height width 3"]) -> None:
    try:
        block = SharedMemory(name, create=True, size=frames.nbytes)
    except OSError as error:
        if error.errno != errno.ENOMEM:
            raise
        raise MemoryError from error
    try:
        _reserve(name, frames.nbytes)
        np.ndarray(frames.shape, np.uint8, block.buf)[...] = frames
    except ConfigError:
        block.unlink()
        raise
    finally:
        block.close()


def _reserve(name: str, size_bytes: int) -> None:
    """Make sure of the memory: without, writing what isn't there kills the process.

    Raises:
        ConfigError: It isn't there.
    """
    if not SHARED.is_dir():
        return
    file = os.open(SHARED / name, os.O_RDWR)
    try:
        os.posix_fallocate(file, 0, size_bytes)
    except OSError as error:
        free = os.statvfs(SHARED).f_bavail * os.statvfs(SHARED).f_frsize
        raise ConfigError(
            f"{SHARED} has {free / 1e6:.0f} MB free, the frames of one clip take "
            f"{size_bytes / 1e6:.0f} MB: give it more (docker run --shm-size=2g), or use fewer "
            f"--workers and a smaller --batch"
        ) from error
    finally:
        os.close(file)

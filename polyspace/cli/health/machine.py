"""The machine: its device and what that computes in, codecs, cores and memory."""

import os
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import av
import torch
from av.codec.codec import Codec, UnknownCodecError

from polyspace.cli.health.check import Check, error, ok, warning
from polyspace.data.estimate import in_words
from polyspace.data.forecast import cores
from polyspace.errors import PrecisionError
from polyspace.precision import COMPUTE_TYPES, DeviceName, PrecisionName, device_named, resolve

DECODERS = {
    "h264": "h264",
    "mpeg4": "mpeg4",
    "hevc": "hevc",
    "vp9": "vp9",
    # FFmpeg's own decoder of that name needs special hardware.
    "av1": "libdav1d",
    "mjpeg": "mjpeg",
}
"""Codecs of videos, and the decoder that is needed."""

NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
SHARED_MEMORY = Path("/dev/shm")
LITTLE_SHARED_BYTES = 2**28
LITTLE_MEMORY_BYTES = 4 * 2**30
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")

SIDE = 512
"""Of the matrices that are multiplied to compare types."""
REPEATS = 20


def check(asked: DeviceName) -> Iterator[Check]:
    """Check the device first, then what feeds it."""
    try:
        device = device_named(asked)
    except PrecisionError as problem:
        yield Check("device", "error", str(problem))
    else:
        yield _device(asked, device)
        yield _precision(device)
    yield _codecs()
    yield from _shared_memory()
    yield _memory()


def _device(asked: DeviceName, device: torch.device) -> Check:
    """Say where backbones run, and why."""
    if device.type == "cuda":
        about = torch.cuda.get_device_properties(device)
        return ok("device", f"{asked} is cuda: {about.name}, {in_words(about.total_memory)}")
    if asked == "cpu":
        return ok("device", "cpu, as asked for")
    if NVIDIA_DRIVER.exists():
        return warning(
            "device",
            f"{asked} is cpu: there is an NVIDIA driver, but torch {torch.__version__} sees no GPU",
            "install a build of torch for CUDA that the driver is new enough for",
        )
    return ok("device", f"{asked} is cpu: torch sees no GPU")


def _precision(device: torch.device) -> Check:
    """Say which types the device computes in, and how fast it multiplies matrices in each."""
    usual = resolve("fp32", device)
    plain, said = _seconds(torch.float32, device), list[str]()
    others: dict[PrecisionName, str] = {"bf16": "--use-bf16", "fp16": "--use-amp"}
    for name, flag in others.items():
        try:
            resolve(name, device)
        except PrecisionError:
            said.append(f"no {flag}")
        else:
            said.append(f"{flag} {plain / _seconds(COMPUTE_TYPES[name], device):.2g} times as fast")
    return ok("precision", f"{usual.reason}; matrix products: {', '.join(said)}")


def _seconds(dtype: torch.dtype, device: torch.device) -> float:
    """Time a product of two matrices; the fastest, because others may use the cores meanwhile."""
    values = torch.ones(SIDE, SIDE, dtype=dtype, device=device)
    times: list[float] = []
    for _ in range(REPEATS):
        started = perf_counter()
        # Brought back, so that a GPU has finished.
        (values @ values)[0, 0].item()
        times.append(perf_counter() - started)
    return min(times)


def _codecs() -> Check:
    """Look for the decoders that PyAV brings."""
    missing = [name for name, decoder in DECODERS.items() if not _decodes(decoder)]
    version = ".".join(map(str, av.library_versions["libavcodec"]))
    said = f"libavcodec {version} in av {av.__version__}"
    if not missing:
        return ok("codecs", f"{said} decodes {', '.join(DECODERS)}")
    report = error if "h264" in missing else warning
    return report(
        "codecs", f"{said} doesn't decode {', '.join(missing)}", "install av's own wheel from PyPI"
    )


def _decodes(decoder: str) -> bool:
    try:
        return Codec(decoder, "r").is_decoder
    except UnknownCodecError:
        return False


def _shared_memory() -> Iterator[Check]:
    """Check what processes share, on systems that limit it: containers are given 64 MB."""
    if not SHARED_MEMORY.is_dir():
        return
    room = os.statvfs(SHARED_MEMORY)
    size, free = room.f_frsize * room.f_blocks, room.f_frsize * room.f_bavail
    said = f"{in_words(free)} of {in_words(size)} free at {SHARED_MEMORY}"
    if free < LITTLE_SHARED_BYTES:
        yield warning("shared memory", said, "docker run --shm-size 2g, or torch's workers may die")
    else:
        yield ok("shared memory", said)


def _memory() -> Check:
    """Say how many cores and how much memory this process may use."""
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = CONTAINER_LIMIT.read_text().strip() if CONTAINER_LIMIT.exists() else ""
    usable = min(size, int(limit)) if limit.isdigit() else size
    said = f"{cores()} cores, {in_words(usable)} of memory"
    if usable < LITTLE_MEMORY_BYTES:
        return warning("machine", said, "large backbones need more: keep --batch and --workers low")
    return ok("machine", said)

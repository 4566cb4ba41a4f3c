"""The video reader beside others: CPU seconds for 16 frames of each clip, as RGB.

``make readers``, or less of it:
python -m tests.benchmarks.readers_against_peers --share 0.1 --rounds 3

One process, one thread. In each round all readers read the same clips one after the other, so that
ratios are paired; what is counted is CPU time, which other work on the machine disturbs least.
"""

# torchcodec is in an extra of its own, which type checking does without.
# pyright: reportMissingImports=false

import statistics
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from time import process_time
from typing import Any

import av
import numpy as np
import torch

from polyspace.data.clips import Request
from polyspace.data.decode import decode
from tests.benchmarks.document import machine, publish, spread
from tests.support.videos import scene, write_video

FRAMES = 180
WANTED = 16


@dataclass(frozen=True)
class Kind:
    """Clips that are coded alike."""

    name: str
    count: int
    ending: str
    codec: str
    options: tuple[tuple[str, str], ...]
    uneven: bool = False


KINDS = (
    Kind("H.264, a keyframe every 250", 60, "mp4", "libx264", (("g", "250"),)),
    Kind("MPEG-4 AVI, every 12", 40, "avi", "mpeg4", (("g", "12"), ("b", "800000"))),
    Kind("H.264, every 25", 20, "mp4", "libx264", (("g", "25"),)),
    Kind("H.264, variable rate", 4, "mkv", "libx264", (("g", "250"),), uneven=True),
)

Read = Callable[[Path, list[int]], Any]
"""Of a file, and of places among its frames: uint8 [frame row column 3]."""


def read_polyspace(file: Path, places: list[int]) -> Any:
    return decode(file.parent, Request(file.name, file.name, (len(places),))).frames


def read_torchcodec(file: Path, places: list[int], mode: Any = "exact") -> Any:
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(str(file), dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode=mode)
    return decoder.get_frames_at(places).data.numpy()


def read_torchcodec_approximate(file: Path, places: list[int]) -> Any:
    return read_torchcodec(file, places, "approximate")


def read_naively(file: Path, places: list[int], **settings: Any) -> Any:
    """Convert every frame, and choose."""
    with av.open(str(file)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        frames = [
            frame.to_ndarray(**settings, format="rgb24") for frame in container.decode(video=0)
        ]
    return np.stack([frames[place] for place in places])


def read_naively_on_one_thread(file: Path, places: list[int]) -> Any:
    """The same, without the threads that PyAV starts for each conversion by itself."""
    return read_naively(file, places, threads=1)


def read_all_convert_wanted(file: Path, places: list[int]) -> Any:
    chosen = frozenset(places)
    with av.open(str(file)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        frames = enumerate(container.decode(video=0))
        return np.stack(
            [f.to_ndarray(format="rgb24", threads=1) for place, f in frames if place in chosen]
        )


READERS: dict[str, Read] = {
    "polyspace": read_polyspace,
    "torchcodec, exact": read_torchcodec,
    "torchcodec, approximate": read_torchcodec_approximate,
    "PyAV, every frame to RGB": read_naively,
    "PyAV, every frame to RGB, one thread": read_naively_on_one_thread,
    "PyAV, every frame decoded, wanted ones to RGB": read_all_convert_wanted,
}


def installed() -> dict[str, Read]:
    """Give the readers that can be used here."""
    return {
        name: read
        for name, read in READERS.items()
        if "torchcodec" not in name or find_spec("torchcodec")
    }


@dataclass(frozen=True)
class Sample:
    """A clip, and where its wanted frames are."""

    file: Path
    places: list[int]


def make(kind: Kind, folder: Path, share: float, frames: int = FRAMES) -> list[Sample]:
    """Make the clips of one kind."""
    draw, samples = np.random.default_rng(0), list[Sample]()
    for number in range(max(1, round(kind.count * share))):
        file = folder / f"{kind.name.replace(' ', '_')}_{number}.{kind.ending}"
        stamps = np.cumsum(draw.integers(20, 80, frames)) if kind.uneven else None
        write_video(
            file,
            scene(frames, seed=number),
            codec=kind.codec,
            options=dict(kind.options),
            stamps=None if stamps is None else stamps.tolist(),
        )
        times = np.arange(frames) if stamps is None else stamps
        moments = np.linspace(times[0], times[-1], WANTED)
        samples.append(Sample(file, [int(np.abs(times - t).argmin()) for t in moments]))
    return samples


def resized(frames: Any) -> torch.Tensor:
    pictures = torch.from_numpy(frames).permute(0, 3, 1, 2)
    return torch.nn.functional.interpolate(pictures, (224, 224), mode="bilinear", antialias=True)


def measure(samples: Sequence[Sample], rounds: int, *, resize: bool) -> dict[str, list[float]]:
    """Give each reader's clips per CPU second in each round."""
    rates: dict[str, list[float]] = {name: [] for name in installed()}
    for number in range(rounds):
        turns = list(installed().items())
        for name, read in turns[number % len(turns) :] + turns[: number % len(turns)]:
            started = process_time()
            for sample in samples:
                frames = read(sample.file, sample.places)
                if resize:
                    resized(frames)
            rates[name].append(len(samples) / (process_time() - started))
    return rates


def exact(read: Read, samples: Sequence[Sample]) -> int:
    """Count the clips whose pictures are those of a full decode, bit by bit."""
    return sum(
        np.array_equal(read(s.file, s.places), read_naively_on_one_thread(s.file, s.places))
        for s in samples
    )


def main() -> None:
    asked = _asked()
    torch.set_num_threads(1)
    lines = list[str]()
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            samples = make(kind, Path(folder), asked.share)
            rights = {name: exact(read, samples) for name, read in installed().items()}
            own = measure(samples, asked.rounds, resize=False)
            small = measure(samples, asked.rounds, resize=True)
            lines += [*_table(kind, samples, rights, own, small), ""]
    text = _document(lines, asked)
    publish(text, asked.out)


def _asked() -> Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the clips")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, help="the document")
    return parser.parse_args()


def _table(
    kind: Kind,
    samples: Sequence[Sample],
    rights: dict[str, int],
    own: dict[str, list[float]],
    small: dict[str, list[float]],
) -> list[str]:
    size = sum(sample.file.stat().st_size for sample in samples) / len(samples) / 1000
    heads = ("exact clips", "clips/s", "polyspace is times as fast", "to 224: clips/s", "times")
    return [
        f"## {kind.name}: {len(samples)} clips of {size:.0f} kB",
        "",
        f"| reader | {' | '.join(heads)} |",
        "|---|---|---|---|---|---|",
        *(
            f"| {name} | {rights[name]} of {len(samples)} | {statistics.median(own[name]):.1f} "
            f"| {_share(own['polyspace'], own[name])} | {statistics.median(small[name]):.1f} "
            f"| {_share(small['polyspace'], small[name])} |"
            for name in own
        ),
    ]


def _share(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Give the rounds' ratios."""
    return spread([a / b for a, b in zip(ours, theirs, strict=True)])


def _document(lines: Sequence[str], asked: Namespace) -> str:
    return "\n".join(
        (
            "# The video reader beside others",
            "",
            f"`make readers` ({asked.rounds} rounds), {datetime.now(UTC):%Y-%m-%d}. {WANTED} "
            f"frames of {FRAMES}, 320x240, to RGB; one process, one thread.",
            f"{machine()}; {_versions()}.",
            "",
            "Clips per CPU second, the median of the rounds; ratios are paired by round, median "
            "and extremes. At their own size, and with a resize of the wanted frames to 224x224 "
            "that is the same for all.",
            "",
            *lines,
        )
    )


def _versions() -> str:
    library = ".".join(map(str, av.library_versions["libavcodec"]))
    found = [f"av {av.__version__} (libavcodec {library})", f"torch {torch.__version__}"]
    if find_spec("torchcodec"):
        from torchcodec._core import ops

        theirs = ops.get_ffmpeg_library_versions()["ffmpeg_version"]
        found.append(f"torchcodec {version('torchcodec')} (FFmpeg {theirs})")
    return ", ".join(found)


if __name__ == "__main__":
    main()

"""How long a clip takes on this machine: decoded, prepared and seen by every backbone."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter

from polyspace.data.clips import Clip, DecodedClip
from polyspace.data.decode import decode
from polyspace.data.encode import Setup, encode, feed
from polyspace.data.pipeline import request
from polyspace.errors import DatasetError, VideoError
from polyspace.models.backbones.protocol import Backbone
from polyspace.progress import Progress


@dataclass(frozen=True)
class Pace:
    """Seconds that a clip takes, medians over a sample."""

    decode: float
    """In one process, for all backbones together."""
    prepare: Mapping[str, float]
    """By backbone: selecting, resizing and cropping, in one thread."""
    backbone: Mapping[str, float]
    """By backbone, on its device."""
    sampled: int
    """Clips that were looked at."""
    refused: tuple[str, ...]
    """What can't be decoded of the sample, and why."""


@dataclass(frozen=True)
class _Times:
    """What was measured so far."""

    decode: list[float] = field(default_factory=list[float])
    prepare: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    backbone: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def see(self, backbone: Backbone, shown: DecodedClip, setup: Setup) -> None:
        """Prepare and encode a batch that is full of one clip."""
        started = perf_counter()
        inputs = feed(backbone, [shown] * setup.batch)
        prepared = perf_counter()
        # Ends on the CPU, so that a GPU has finished, too.
        encode(backbone, inputs, setup)
        seen = perf_counter()
        self.prepare.setdefault(backbone.name, []).append((prepared - started) / setup.batch)
        self.backbone.setdefault(backbone.name, []).append((seen - prepared) / setup.batch)


def measure(
    root: Path, clips: Sequence[Clip], backbones: Sequence[Backbone], setup: Setup
) -> Generator[Progress, None, Pace]:
    """Decode some clips, and let every backbone see each of them.

    Args:
        root: Folder of the data set.
        clips: The sample.
        backbones: Who looks.
        setup: How.

    Raises:
        DatasetError: Not one of the clips can be decoded.
    """
    times, refused = _Times(), list[str]()
    for number, clip in enumerate(clips):
        yield Progress(number, len(clips), f"clip {number + 1} of {len(clips)}")
        started = perf_counter()
        try:
            shown = decode(root, request(clip, backbones, setup))
        except VideoError as error:
            refused.append(str(error))
            continue
        times.decode.append(perf_counter() - started)
        if len(times.decode) == 1:
            _warm_up(shown, backbones, setup)
        for backbone in backbones:
            times.see(backbone, shown, setup)
    if not times.decode:
        raise DatasetError(
            f"none of {len(clips)} sampled clips can be decoded, the first because {refused[0]}: "
            f"mend them, or take a larger --sample"
        )
    return _pace(times, tuple(refused))


def _warm_up(shown: DecodedClip, backbones: Sequence[Backbone], setup: Setup) -> None:
    """Pay once for kernels, caches and memory that later batches find ready."""
    for backbone in backbones:
        _Times().see(backbone, shown, setup)


def _pace(times: _Times, refused: tuple[str, ...]) -> Pace:
    return Pace(
        decode=median(times.decode),
        prepare={name: median(own) for name, own in times.prepare.items()},
        backbone={name: median(own) for name, own in times.backbone.items()},
        sampled=len(times.decode),
        refused=refused,
    )

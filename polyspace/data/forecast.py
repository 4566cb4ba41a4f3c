"""What an extraction will take: disk, hours and memory. Nothing is written.

Sizes are computed; times and memory are measured on a few clips, on this machine.
"""

import os
import resource
import sys
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import get_args

import torch

from polyspace.data import estimate, extraction, featurize, pace
from polyspace.data.datasets import motion
from polyspace.data.encode import Spatial, array_spec
from polyspace.data.featurize import FeaturizeConfig, Plan
from polyspace.data.pace import Pace
from polyspace.errors import DatasetError
from polyspace.models.backbones.protocol import Backbone
from polyspace.progress import Progress
from polyspace.store import ledger
from polyspace.store.layout import ArraySpec
from polyspace.store.metadata import is_store

SPATIALS: tuple[Spatial, ...] = get_args(Spatial)
GATHERED_BYTES = 4
"""Of a value in memory: features of a work item are float32 until they are written."""


@dataclass(frozen=True)
class Amount:
    """How much of one split there is, and how much of it is to do."""

    split: str
    clips: int
    missing: Mapping[str, int]
    """Clips by backbone that the store there doesn't hold yet."""
    sizes: Mapping[Spatial, Mapping[str, int]]
    """Bytes of all clips' features, by granularity and backbone."""
    needed: int
    """Bytes still to be written, in the granularity that was chosen."""
    gathered: int
    """Bytes of memory for the features of one work item."""


@dataclass(frozen=True)
class Forecast:
    """What an extraction will take."""

    spatial: Spatial
    """The granularity that was chosen."""
    shapes: Mapping[str, tuple[int, int, int, int]]
    """Time, height and width of each backbone's token grid before pooling, and dimensions."""
    splits: tuple[Amount, ...]
    pace: Pace
    seconds: float
    """Of all that is missing, once the backbones are loaded."""
    device: str
    peak: int
    """Bytes of memory at most while the sample was encoded: of the GPU where backbones run on
    one, else of this process."""
    free: int | None
    """Bytes that are free where the stores will be; None in an object store."""

    @property
    def needed(self) -> int:
        """Bytes still to be written."""
        return sum(amount.needed for amount in self.splits)

    @property
    def gathered(self) -> int:
        """Bytes of memory for the features of the largest work item."""
        return max(amount.gathered for amount in self.splits)

    @property
    def fits(self) -> bool:
        """Whether the disk can hold it."""
        return self.free is None or self.needed <= self.free

    def size(self, spatial: Spatial, backbone: str) -> int:
        """Give a backbone's bytes over all splits."""
        return sum(amount.sizes[spatial][backbone] for amount in self.splits)


def forecast(config: FeaturizeConfig, *, sample: int) -> Generator[Progress, None, Forecast]:
    """Load the backbones, let them see a few clips, and say what all of them will take.

    Args:
        config: The extraction.
        sample: How many clips, spread evenly over the first split.

    Raises:
        PolySpaceError: As `featurize.run` does before its first clip.
        DatasetError: Not one of the sampled clips can be decoded.
    """
    _refuse_to_render(config)
    loaded, plans = yield from featurize.survey(config)
    clips, setup = plans[0].manifest.clips, plans[0].setup
    count = min(sample, len(clips))
    chosen = [clips[number * len(clips) // count] for number in range(count)]
    _begin_peak(setup.device)
    measured = yield from pace.measure(plans[0].manifest.root, chosen, loaded, setup)
    splits = tuple(_amount(plan, loaded) for plan in plans)
    return Forecast(
        spatial=config.spatial,
        shapes={b.name: (b.grid.time, b.grid.height, b.grid.width, b.dim) for b in loaded},
        splits=splits,
        pace=measured,
        seconds=sum(
            seconds(amount.missing, measured, setup.device, setup.processes) for amount in splits
        ),
        device=setup.device.type,
        peak=_peak_bytes(setup.device),
        free=estimate.free_bytes(config.out),
    )


def seconds(missing: Mapping[str, int], took: Pace, device: torch.device, processes: int) -> float:
    """Say how long a split takes whose steps run beside each other, if there is room for them.

    On a GPU the slowest step decides. Where backbones take all cores themselves, decoding beside
    them takes its share of these. Without processes everything takes turns.

    Args:
        missing: Clips by backbone.
        took: What a clip takes.
        device: Where the backbones run.
        processes: How many decode.
    """
    decode = max(missing.values()) * took.decode
    prepare = sum(clips * took.prepare[name] for name, clips in missing.items())
    see = sum(clips * took.backbone[name] for name, clips in missing.items())
    if not processes:
        return decode + max(prepare, see) if device.type == "cuda" else decode + prepare + see
    slowest = max(decode / min(processes, cores()), prepare, see)
    if device.type == "cuda":
        return slowest
    return max(slowest, see + (decode + prepare) / cores())


def cores() -> int:
    """Give the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _refuse_to_render(config: FeaturizeConfig) -> None:
    """Refuse a demo data set that isn't there, because rendering it would write.

    Raises:
        DatasetError: It is so.
    """
    if config.dataset == motion.NAME and motion.settings_of(config.root) is None:
        raise DatasetError(
            f"the data set {motion.NAME} isn't rendered under {config.root} yet, and an estimate "
            f"writes nothing: extract it, which takes minutes"
        )


def _amount(plan: Plan, loaded: Sequence[Backbone]) -> Amount:
    """Compute what a split takes on disk, in every granularity."""
    clips, missing = len(plan.manifest.clips), _missing(plan)
    per_chunk = _clips_per_chunk(plan, plan.specs)
    values = sum(prod(spec.row_shape("tokens")) for spec in plan.specs)
    return Amount(
        split=plan.target.split,
        clips=clips,
        missing=missing,
        sizes={spatial: _sizes(plan, loaded, spatial) for spatial in SPATIALS},
        needed=sum(
            estimate.bytes_of([spec], missing[spec.backbone], clips_per_chunk=per_chunk).total
            for spec in plan.specs
        ),
        gathered=GATHERED_BYTES * per_chunk * values,
    )


def _sizes(plan: Plan, loaded: Sequence[Backbone], spatial: Spatial) -> Mapping[str, int]:
    """Compute what each backbone's features of all clips take in some granularity."""
    setup = replace(plan.setup, spatial=spatial)
    # The role is a word in the metadata, which isn't counted here.
    specs = [array_spec(backbone, role="teacher", setup=setup) for backbone in loaded]
    cut = _clips_per_chunk(plan, specs)
    return estimate.bytes_of(specs, len(plan.manifest.clips), clips_per_chunk=cut).features


def _clips_per_chunk(plan: Plan, specs: Sequence[ArraySpec]) -> int:
    clips, batch = len(plan.manifest.clips), plan.setup.batch
    return extraction.clips_per_chunk(clips, specs, plan.target, batch)


def _missing(plan: Plan) -> Mapping[str, int]:
    """Count the clips that each backbone has still to see."""
    names, clips = [spec.backbone for spec in plan.specs], len(plan.manifest.clips)
    if not is_store(plan.target.path):
        return dict.fromkeys(names, clips)
    book = ledger.read(plan.target.path)
    held = {
        name: int(book.done(name).sum()) + len(book.quarantined(name)) for name in book.layout.specs
    }
    return {name: clips - held.get(name, 0) for name in names}


def _begin_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _peak_bytes(device: torch.device) -> int:
    """Give the most memory that was in use: of a GPU since `_begin_peak`, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    # macOS counts bytes, others kibibytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

"""What there is to measure with: backbones that can be loaded here, and videos that can be read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from polyspace.data import reload
from polyspace.data.clips import DecodedClip
from polyspace.data.encode import Setup
from polyspace.data.reload import Encoder, Source
from polyspace.data.views import Viewing
from polyspace.errors import PolySpaceError, VideoError
from polyspace.precision import resolve
from polyspace.train import videos
from polyspace.train.cost.rows import DECODE
from polyspace.train.cost.timing import Effort, Reel
from polyspace.train.sources import StoredClips


@dataclass(frozen=True, eq=False)
class Bench:
    """Everything that paths are put together from."""

    sources: Mapping[str, Source]
    """How to load each backbone that is here."""
    encoders: Mapping[str, Encoder]
    """These, loaded."""
    absent: Mapping[str, str]
    """The others, and why they aren't."""
    setup: Setup
    reel: Reel | None
    """Videos, if there are any."""
    shown: DecodedClip | None
    """The first of them, decoded for everybody."""
    missing: Mapping[str, str]
    """Why there are no videos, or not all that were asked for."""


def equip(
    clips: StoredClips,
    names: Sequence[str],
    weights: Mapping[str, str],
    root: Path | None,
    effort: Effort,
) -> Bench:
    """Look for backbones and videos; whatever isn't there is said, and isn't an error.

    Args:
        clips: Features that the backbones made of the videos.
        names: The backbones.
        weights: Folders of weights by backbone, which go before those that the store names.
        root: Folder of the videos.
        effort: Batch, processes, and how many videos.
    """
    setup = _setup(clips, effort)
    sources, loaded, absent = dict[str, Source](), dict[str, Encoder](), dict[str, str]()
    for name in names:
        try:
            found = reload.source(name, clips.store.backbones[name].provenance, weights)
            loaded[name] = reload.load(found, setup)
            sources[name] = found
        except (PolySpaceError, ImportError) as error:
            absent[name] = str(error)
    chosen = _sample(clips, names, effort.videos)
    seen = _look(clips, chosen, list(loaded.values()), root)
    return Bench(sources, loaded, absent, setup, seen.reel, seen.first, seen.missing)


def _setup(clips: StoredClips, effort: Effort) -> Setup:
    """Say how clips are looked at; type and granularity are each backbone's own."""
    protocol = clips.store.protocol
    try:
        viewing = Viewing.of_record(protocol)
    except PolySpaceError:
        viewing = Viewing(segments=clips.views)  # there will be no videos: their number is all
    return Setup(
        device=clips.device,
        precision=resolve("fp32", clips.device),
        spatial="full",
        batch=effort.batch,
        processes=effort.processes,
        viewing=viewing,
        allow_damaged=protocol.get("damaged_frames") == "allowed",
    )


def _sample(clips: StoredClips, names: Sequence[str], count: int) -> list[str]:
    """Name clips that all backbones have seen, spread evenly over the split."""
    rows = clips.store.rows(names)
    places = np.unique(np.linspace(0, len(rows) - 1, count).round().astype(int))
    return [clips.store.ids[row] for row in rows[places]]


@dataclass(frozen=True, eq=False)
class _Seen:
    """A sample of videos, each decoded once for everybody."""

    reel: Reel | None = None
    first: DecodedClip | None = None
    missing: Mapping[str, str] = field(default_factory=dict[str, str])


def _look(
    clips: StoredClips, chosen: Sequence[str], loaded: Sequence[Encoder], root: Path | None
) -> _Seen:
    """Decode a sample; what can't be is left out, and said."""
    if not loaded:
        return _Seen()
    try:
        found = videos.find(clips, root)
    except PolySpaceError as error:
        return _Seen(missing={DECODE: str(error)})
    first: DecodedClip | None = None
    good, reasons = list[str](), list[str]()
    for name in chosen:
        try:
            clip = found.decode(name, [encoder.backbone.inputs for encoder in loaded])
        except VideoError as error:
            reasons.append(str(error))
        else:
            first = first or clip
            good.append(name)
    if not good:
        words = f"none of {len(chosen)} videos can be decoded, the first because {reasons[0]}"
        return _Seen(missing={DECODE: words})
    if not reasons:
        return _Seen(Reel(found, good), first)
    words = f"{len(reasons)} of {len(chosen)} can't be decoded, the first because {reasons[0]}"
    return _Seen(Reel(found, good), first, {"videos": words})

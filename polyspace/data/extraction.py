"""From clips to features in a store: what is missing of a split, and how far it is."""

from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter

import numpy as np

from polyspace import console
from polyspace.data import pipeline
from polyspace.data.clips import Manifest
from polyspace.data.effort import Effort, Stopwatch
from polyspace.data.encode import Setup
from polyspace.data.estimate import check_disk
from polyspace.data.quarantine import split_note
from polyspace.errors import DatasetError, StoreError
from polyspace.models.backbones.protocol import Backbone
from polyspace.store import growth, metadata
from polyspace.store.layout import ArraySpec, ClipRows, StoreHeader
from polyspace.store.reader import FeatureStore
from polyspace.store.writer import StoreWriter

CLIPS_PER_CHUNK = 256
"""What a kill costs at worst, in clips,"""
BYTES_PER_ITEM = 2**30
"""and in memory: float32 features of a work item are gathered before they are written."""


@dataclass(frozen=True)
class Extraction:
    """How far the extraction of one split is."""

    split: str
    done: int
    """Clips that are finished, in this run or an earlier one."""
    total: int
    fresh: int
    """Clips of this run."""
    quarantined: int
    """How many of those could not be decoded."""
    damaged: int
    """How many are damaged, and were taken as they are."""
    seconds: float
    """Since this run began with the split."""
    effort: Effort = field(default_factory=Effort)
    """Where they went."""

    @property
    def clips_per_second(self) -> float:
        """Speed of this run."""
        return self.fresh / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        """Say where the extraction is."""
        speed = f"{self.clips_per_second:.1f} clips/s"
        stage, share = next(iter(self.effort.shares.items()), ("", 0.0))
        where = f", {stage} {share:.0%}" if stage else ""
        bad = f", {self.damaged} damaged" if self.damaged else ""
        bad += f", {self.quarantined} quarantined" if self.quarantined else ""
        return f"{self.split} {self.done}/{self.total} clips, {speed}{where}{bad}"


@dataclass(frozen=True)
class Target:
    """Where the features of one split go."""

    split: str
    """The split's name, as the store shall know it."""
    path: Path
    """The store, made if it isn't there."""
    clips_per_chunk: int = 0
    """Clips of one work item at most; 0: as many as the store there has, of a new one as many as
    `CLIPS_PER_CHUNK`, `BYTES_PER_ITEM` and `work_items` allow."""
    work_items: int = 1
    """Into how many a new store is cut at least, so that there is something for everybody."""


def extract(
    manifest: Manifest,
    specs: Sequence[ArraySpec],
    backbones: Sequence[Backbone],
    setup: Setup,
    target: Target,
) -> Generator[Extraction, None, Path]:
    """Write what the store doesn't hold yet of a split; return the store.

    Args:
        manifest: The clips.
        specs: What the backbones' arrays hold; those that the store lacks are added.
        backbones: Who looks at the clips.
        setup: How they look.
        target: Where the features go.

    Raises:
        DatasetError: Not one clip could be decoded.
        StoreError: The store there holds something else, or the disk can't hold what is missing.
    """
    manifest = _follow(manifest, specs, setup, target)
    with _open(manifest, specs, setup, target) as writer:
        _refuse_small_disk(writer, specs, target.path)
        yield from _fill(writer, specs, manifest, backbones, setup, target.split)
    _refuse_empty(target.path, manifest)
    return target.path


def make(manifest: Manifest, specs: Sequence[ArraySpec], setup: Setup, target: Target) -> Path:
    """Make a store with nothing in it yet, or add the backbones that it lacks; return it.

    Raises:
        StoreError: The store there holds something else.
    """
    _open(_follow(manifest, specs, setup, target), specs, setup, target).close()
    return target.path


def _follow(
    manifest: Manifest, specs: Sequence[ArraySpec], setup: Setup, target: Target
) -> Manifest:
    """Give the clips in the order of the store there, which is made longer for new ones.

    Raises:
        StoreError: The store has clips that the split hasn't any more.
    """
    if not growth.may_grow(target.path):
        return manifest
    known = FeatureStore.open(target.path).ids
    fresh = {clip.id: clip for clip in manifest.clips}
    _refuse_gone([name for name in known if name not in fresh], manifest, target.path)
    ordered = replace(manifest, clips=(*map(fresh.pop, known), *fresh.values()))
    if fresh:
        growth.grow(target.path, _header(ordered, specs, setup, target), _rows(ordered), specs)
        console.say(f"{target.path}: {len(fresh)} new clips after {len(known)}")
    return ordered


def _refuse_gone(gone: Sequence[str], manifest: Manifest, path: Path) -> None:
    if gone:
        raise StoreError(
            f"{path} holds {len(gone)} clips that are not in {manifest.dataset} {manifest.split} "
            f"any more, first {gone[0]!r}: give another --out folder, or put them back (clips of a "
            f"data set without splits may change sides when it grows: say which are tested on)"
        )


def _open(
    manifest: Manifest, specs: Sequence[ArraySpec], setup: Setup, target: Target
) -> StoreWriter:
    header = _header(manifest, specs, setup, target)
    return StoreWriter.open(target.path, header, _rows(manifest), specs)


def _fill(
    writer: StoreWriter,
    specs: Sequence[ArraySpec],
    manifest: Manifest,
    backbones: Sequence[Backbone],
    setup: Setup,
    split: str,
) -> Generator[Extraction]:
    """Work through what is pending, and say how far it is."""
    watch, started, total = Stopwatch(), perf_counter(), len(manifest.clips)
    before = total - sum(map(len, writer.pending()))
    state = Extraction(split, before, total, fresh=0, quarantined=0, damaged=0, seconds=0.0)
    for seen in pipeline.run(writer, specs, manifest, backbones, setup, watch):
        state = replace(
            state,
            done=state.done + seen.clips,
            fresh=state.fresh + seen.clips,
            quarantined=state.quarantined + seen.quarantined,
            damaged=state.damaged + seen.damaged,
            seconds=perf_counter() - started,
            effort=watch.effort,
        )
        yield state


def _header(
    manifest: Manifest, specs: Sequence[ArraySpec], setup: Setup, target: Target
) -> StoreHeader:
    damaged = {"damaged_frames": "allowed"} if setup.allow_damaged else {}
    return StoreHeader(
        dataset=manifest.dataset,
        split=target.split,
        class_names=manifest.class_names,
        clips_per_chunk=clips_per_chunk(len(manifest.clips), specs, target, setup.batch),
        protocol={**setup.viewing.record(), **damaged},
    )


def clips_per_chunk(clips: int, specs: Sequence[ArraySpec], target: Target, batch: int) -> int:
    """Say how many clips a work item has: as asked for, as before, or as many as are handy."""
    if not target.clips_per_chunk and metadata.is_store(target.path):
        return FeatureStore.open(target.path).clips_per_chunk
    values = sum(int(np.prod(spec.row_shape("tokens"))) for spec in specs)
    shared = max(batch, clips // target.work_items)
    fitting = max(1, min(CLIPS_PER_CHUNK, BYTES_PER_ITEM // (4 * values), shared))
    return _even(clips, target.clips_per_chunk or fitting, batch)


def _rows(manifest: Manifest) -> ClipRows:
    return ClipRows(
        ids=tuple(clip.id for clip in manifest.clips),
        groups=tuple(clip.group for clip in manifest.clips),
        labels=np.array([clip.label for clip in manifest.clips], dtype=np.int64),
    )


def _even(clips: int, limit: int, batch: int) -> int:
    """Cut clips into chunks of about equal size, because the last one is filled up to that size.

    Chunks of whole batches, where they can be: then the same clips are in a batch however the store
    is cut, and their features have the same bits.
    """
    whole = limit // batch * batch or limit
    chunks = -(-clips // whole)
    even = -(-clips // chunks)
    return even if chunks == 1 else min(whole, -(-even // batch) * batch)


def _refuse_small_disk(writer: StoreWriter, specs: Sequence[ArraySpec], path: Path) -> None:
    """Refuse to begin what would end in the middle.

    Raises:
        StoreError: Less is free than the features that are missing take.
    """
    left = writer.pending()
    names = {name for item in left for name in item.backbones}
    missing, clips = [spec for spec in specs if spec.backbone in names], sum(map(len, left))
    check_disk(path, missing, clips, clips_per_chunk=max(map(len, left), default=1))


def _refuse_empty(path: Path, manifest: Manifest) -> None:
    """Refuse to go on with a split of which nothing could be decoded.

    Raises:
        DatasetError: It is so; the message gives the commonest reason.
    """
    coverage = FeatureStore.open(path).coverage
    if coverage.done:
        return
    paths = {clip.id: clip.path for clip in manifest.clips}
    reasons = [
        split_note(text)[1].removeprefix(f"{paths[name]}: ")
        for name, text in coverage.quarantined.items()
    ]
    [(reason, count)] = Counter(reasons).most_common(1)
    raise DatasetError(
        f"not one of the {coverage.clips} clips of {manifest.dataset} under {manifest.root} could "
        f"be decoded, {count} of them because the file {reason}: mend them, and run again with "
        f"--retry"
    )

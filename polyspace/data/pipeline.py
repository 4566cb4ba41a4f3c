"""What is pending in a store, in batches: decoded ahead, prepared ahead, seen, and written.

::

    decoding processes ─> this process ─> a thread that prepares ─> the backbones ─> the writer

Every step but the backbones runs ahead of the next one, and no further than a few clips: memory
does not grow with the number of clips, and the backbones wait only for what is slower than they.
"""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
import torch

from polyspace.data import asking, quarantine
from polyspace.data.clips import Clip, DecodedClip, Manifest, Request
from polyspace.data.effort import Stopwatch
from polyspace.data.encode import Inputs, Setup, encode, feed
from polyspace.data.prefetch import Decoded, decode_all
from polyspace.errors import VideoError
from polyspace.models.backbones.protocol import Backbone
from polyspace.store.block import Block
from polyspace.store.layout import ArraySpec
from polyspace.store.writer import StoreWriter, WorkItem


@dataclass(frozen=True)
class Seen:
    """A batch that went through, and maybe more of the split than that."""

    clips: int
    quarantined: int
    """How many of those could not be decoded."""
    damaged: int
    """How many are damaged and were taken as they are."""


@dataclass(frozen=True, eq=False)
class _Chunk:
    """A work item while it is being filled."""

    item: WorkItem
    clips: Sequence[Clip]
    backbones: Sequence[Backbone]
    """Those that have not seen it."""
    blocks: Mapping[str, Block]
    """By backbone; rows that are not filled yet are NaN."""
    quarantined: dict[str, str]

    def put(self, places: Sequence[int], name: str, seen: Block) -> None:
        """Fill some places with what a backbone saw."""
        block = self.blocks[name]
        block.tokens[places], block.summary[places] = seen.tokens, seen.summary
        block.seconds[places] = seen.seconds


@dataclass(frozen=True, eq=False)
class _Batch:
    """Some clips of a chunk."""

    chunk: _Chunk
    places: Sequence[int]
    """Of those that could be decoded, within the chunk."""
    clips: Sequence[DecodedClip]
    refused: int
    is_last: bool
    """Whether the chunk is complete with it."""


_Prepared = tuple[_Batch, Future[Mapping[str, Inputs]]]


def run(
    writer: StoreWriter,
    specs: Sequence[ArraySpec],
    manifest: Manifest,
    backbones: Sequence[Backbone],
    setup: Setup,
    watch: Stopwatch,
) -> Generator[Seen]:
    """Work through what is pending, until no writer has any left; yield after every batch."""
    source = _Source(writer, specs, manifest, backbones, setup)
    while writer.awaits_work():
        with ThreadPoolExecutor(1) as beside, closing(_batches(source, setup)) as batches:
            for batch, inputs in _prepared(_watched(batches, watch), beside):
                with watch.on("preprocess"):
                    ready = inputs.result()
                with watch.on("backbone"):
                    for backbone in batch.chunk.backbones if ready else ():
                        block = encode(backbone, ready[backbone.name], setup)
                        batch.chunk.put(batch.places, backbone.name, block)
                if batch.is_last:
                    with watch.on("write"):
                        chunk = batch.chunk
                        writer.write(chunk.item, chunk.blocks, chunk.quarantined)
                damaged = sum(clip.damaged > 0 for clip in batch.clips)
                yield Seen(len(batch.places) + batch.refused, batch.refused, damaged)


def request(clip: Clip, backbones: Sequence[Backbone], setup: Setup) -> Request:
    """Ask for everything that some backbones want of a clip, at once."""
    return asking.ask(
        clip.id,
        clip.path,
        [backbone.inputs for backbone in backbones],
        viewing=setup.viewing,
        allow_damaged=setup.allow_damaged,
    )


@dataclass(frozen=True, eq=False)
class _Source:
    """Where work comes from."""

    writer: StoreWriter
    specs: Sequence[ArraySpec]
    manifest: Manifest
    backbones: Sequence[Backbone]
    setup: Setup

    def claims(self) -> Iterator[_Chunk]:
        """Claim one work item after the other, and make room for what will be seen of it."""
        for item in self.writer.claims():
            specs = [spec for spec in self.specs if spec.backbone in item.backbones]
            yield _Chunk(
                item=item,
                clips=[self.manifest.clips[row] for row in item.rows],
                backbones=[b for b in self.backbones if b.name in item.backbones],
                blocks={spec.backbone: _blank(spec, len(item)) for spec in specs},
                quarantined={},
            )


def _batches(source: _Source, setup: Setup) -> Generator[_Batch]:
    """Decode the clips of one chunk after the other, some of them ahead of time."""
    claimed = deque[_Chunk]()

    def requests() -> Iterator[Request]:
        for chunk in source.claims():
            claimed.append(chunk)
            for clip in chunk.clips:
                yield request(clip, chunk.backbones, setup)

    ahead = setup.processes + setup.batch
    root = source.manifest.root
    with closing(decode_all(root, requests(), processes=setup.processes, ahead=ahead)) as decoded:
        # Each chunk is claimed before the first of its clips comes out.
        for first in decoded:
            yield from _cut(claimed.popleft(), chain([first], decoded), setup.batch)


def _cut(chunk: _Chunk, decoded: Iterator[Decoded], size: int) -> Iterator[_Batch]:
    """Cut a chunk into batches, and put aside what could not be decoded."""
    for start in range(0, len(chunk.clips), size):
        places = range(start, min(start + size, len(chunk.clips)))
        good: dict[int, DecodedClip] = {}
        for place, result in zip(places, islice(decoded, len(places)), strict=True):
            if isinstance(result, VideoError):
                chunk.quarantined[chunk.clips[place].id] = quarantine.note(result)
            else:
                good[place] = result
        is_last = places.stop == len(chunk.clips)
        yield _Batch(chunk, list(good), list(good.values()), len(places) - len(good), is_last)


def _watched(batches: Iterable[_Batch], watch: Stopwatch) -> Iterator[_Batch]:
    """Count the time that is spent waiting for decoded clips."""
    waiting = iter(batches)
    while True:
        with watch.on("decode"):
            batch = next(waiting, None)
        if batch is None:
            return
        yield batch


def _prepared(batches: Iterable[_Batch], beside: ThreadPoolExecutor) -> Iterator[_Prepared]:
    """Prepare each batch beside whatever is done with the one before it."""
    waiting: _Prepared | None = None
    for batch in batches:
        following = batch, beside.submit(_feed, batch)
        if waiting:
            yield waiting
        waiting = following
    if waiting:
        yield waiting


def _feed(batch: _Batch) -> Mapping[str, Inputs]:
    if not batch.clips:
        return {}
    return {backbone.name: feed(backbone, batch.clips) for backbone in batch.chunk.backbones}


def _blank(spec: ArraySpec, clips: int) -> Block:
    return Block(
        tokens=torch.full((clips, *spec.row_shape("tokens")), torch.nan),
        summary=torch.full((clips, *spec.row_shape("summary")), torch.nan),
        seconds=np.full((clips, *spec.row_shape("time_seconds")), np.nan),
    )

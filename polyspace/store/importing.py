"""Old features into a store: each number as it was, and no word on what the shards don't say.

The shards are read twice: once to see what they hold, so that nothing is written unless all of them
can be read, and once for the features, a chunk at a time. An import that was stopped goes on where
it was.

What the old format leaves open is read like this. Features of a clip are [dim], [time, dim],
[time, space, dim] or [view, time, space, dim]; a flat list of tokens counts as time. A summary is
the mean over the tokens, and each temporal position saw an equal part of a clip of unit length. A
clip is called as its video is, or by its path where two videos are called the same. Clips whose
label is unknown (-1) have no row; the header lists them. Clips whose features have another shape
than most, or are not finite, are quarantined.
"""

import re
from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np
import torch

from polyspace.errors import ConfigError
from polyspace.progress import Progress
from polyspace.store.block import Block
from polyspace.store.layout import PARTS, ArraySpec
from polyspace.store.legacy import description, shards, sources
from polyspace.store.legacy.clips import LegacyClip
from polyspace.store.legacy.description import Specs, row_shape
from polyspace.store.legacy.sources import Index
from polyspace.store.legacy.survey import Seen, Survey, survey
from polyspace.store.writer import StoreWriter, WorkItem


def import_features(
    source: Path,
    out: Path,
    *,
    student: str | None = None,
    dataset: str | None = None,
    split: str | None = None,
) -> Generator[Progress, None, Path]:
    """Write a split's old features into a store; return it.

    Args:
        source: Folder of shards, their index, or a single shard (see `legacy.sources`).
        out: Folder for the store, <dataset>_<split>.zarr.
        student: Name of the backbone whose features the shards call `student`; None: as the index
            says. Where they call none so: which one of theirs it is.
        dataset: Name of the data set, and
        split: of the split; None where the source has one only, and says which.

    Raises:
        StoreError: The source holds something else, and nothing in it was executed; or the store
            there holds other features.
        CorruptStoreError: A shard is damaged.
        DatasetError: Not one clip has a label, or two have the same id.
        ConfigError: The options don't say enough.
    """
    found = yield from survey(sources.find(source, dataset, split))
    specs = description.specs(found, student)
    path = out / _store_name(found.source.index)
    header, rows = description.header(found, specs), description.rows(found)
    with StoreWriter.open(path, header, rows, list(specs.values())) as writer:
        yield from _copy(found, specs, writer)
    return path


class _Shelf:
    """The shards of a source, of which the last one that was used is in memory."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._number: int | None = None
        self._clips: Sequence[LegacyClip] = ()

    def clip(self, seen: Seen) -> LegacyClip:
        if seen.shard != self._number:
            # Let go of one shard before the next: together they may not fit.
            self._clips = ()
            self._clips = shards.read(self._paths[seen.shard]).clips
            self._number = seen.shard
        return self._clips[seen.place]


def _copy(found: Survey, specs: Specs, writer: StoreWriter) -> Generator[Progress]:
    """Write what the store doesn't hold yet, one work item after the other."""
    shelf, total = _Shelf(found.source.shards), len(found.clips)
    done = total - sum(len(item) for item in writer.pending())
    for item in writer.claims():
        wanted = {key: spec for key, spec in specs.items() if spec.backbone in item.backbones}
        blocks, quarantined = _take(found, item, wanted, shelf)
        writer.write(item, blocks, quarantined)
        done += len(item)
        yield Progress(done, total, f"{done} of {total} clips")


def _take(
    found: Survey, item: WorkItem, specs: Specs, shelf: _Shelf
) -> tuple[dict[str, Block], dict[str, str]]:
    """Take some clips' features from their shards: blocks by backbone, and what is quarantined."""
    blocks = {spec.backbone: _blank(spec, len(item)) for spec in specs.values()}
    quarantined: dict[str, str] = {}
    for place, row in enumerate(item.rows):
        clip = shelf.clip(found.clips[row])
        for key, spec in specs.items():
            if reason := _put(blocks[spec.backbone], place, clip, key, spec):
                quarantined[found.ids[row]] = f"{spec.backbone}: {reason}"
    return blocks, quarantined


def _put(block: Block, place: int, clip: LegacyClip, key: str, spec: ArraySpec) -> str | None:
    """Put what one backbone saw of a clip into its place; or say why it can't be stored."""
    rooms = zip(PARTS, (block.tokens.numpy(), block.summary.numpy(), block.seconds), strict=True)
    for part, room in rooms:
        values = clip.arrays.get((part, key))
        if values is None:
            continue
        if row_shape(part, values.shape) != spec.row_shape(part):
            return f"its {part} have the shape {values.shape}, unlike those of most clips"
        if not np.isfinite(values).all():
            return f"{int((~np.isfinite(values)).sum())} values of its {part} are not finite"
        room[place] = values.reshape(spec.row_shape(part))
    if ("summary", key) not in clip.arrays:
        tokens = block.tokens[place].numpy()
        # float64, because a sum of float32's largest values would be infinite.
        block.summary.numpy()[place] = tokens.mean(axis=(1, 2), dtype=np.float64)
    return None


def _blank(spec: ArraySpec, clips: int) -> Block:
    """Make room for a chunk, whose times are known as far as they will ever be."""
    bounds = np.linspace(0.0, 1.0, spec.time + 1)
    spans = np.stack([bounds[:-1], bounds[1:]], axis=1)
    return Block(
        tokens=torch.full((clips, *spec.row_shape("tokens")), torch.nan),
        summary=torch.full((clips, *spec.row_shape("summary")), torch.nan),
        seconds=np.tile(spans, (clips, spec.views, 1, 1)),
    )


def _store_name(index: Index) -> str:
    """Call the store as its data set and split are, if they don't lead out of the folder.

    Raises:
        ConfigError: They do.
    """
    name = f"{index.dataset}_{index.split}.zarr"
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ConfigError(f"no store can be called {name!r}: mend data set and split in the index")
    return name

"""A small store with known content."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from polyspace.store.block import Block
from polyspace.store.layout import ArraySpec, ClipRows, Compression, StoreHeader
from polyspace.store.writer import StoreWriter, WorkItem


@dataclass(frozen=True)
class Sample:
    """What is written: any row of any backbone can be made again."""

    header: StoreHeader
    rows: ClipRows
    specs: tuple[ArraySpec, ...]
    quarantined: Mapping[str, str] = field(default_factory=dict)

    def named(self, *backbones):
        return replace(self, specs=tuple(s for s in self.specs if s.backbone in backbones))

    def values(self, spec, part, row):
        # Values that float16 holds exactly, so that reading back must give them bit by bit.
        offset = 64 * row + 16 * ("tokens", "summary", "time_seconds").index(part)
        shape = spec.row_shape(part)
        cells = np.arange(np.prod(shape)).reshape(shape) % 16 + offset + len(spec.backbone)
        return cells / 16

    def stacked(self, spec, part, rows):
        return np.stack([self.values(spec, part, row) for row in rows])

    def block(self, spec, rows):
        tokens, summary, seconds = (
            self.stacked(spec, part, rows) for part in ("tokens", "summary", "time_seconds")
        )
        return Block(torch.from_numpy(tokens).float(), torch.from_numpy(summary).float(), seconds)

    def blocks(self, item: WorkItem):
        return {
            s.backbone: self.block(s, item.rows) for s in self.specs if s.backbone in item.backbones
        }

    def bad(self, item: WorkItem):
        ids = [self.rows.ids[row] for row in item.rows]
        return {clip: why for clip, why in self.quarantined.items() if clip in ids}

    def open(self, path: Path):
        return StoreWriter.open(path, self.header, self.rows, self.specs)

    def write(self, path: Path, items: int | None = None):
        with self.open(path) as writer:
            for item in writer.pending()[:items]:
                writer.write(item, self.blocks(item), self.bad(item))
        return path


def sample(clips=10, clips_per_chunk=4, compression: Compression = "none"):
    names = tuple(f"v_Tähti_g{row:02d}" for row in range(clips))
    return Sample(
        header=StoreHeader(
            "motion", "train", ("pan", "tilt"), clips_per_chunk, {"views": 1}, compression
        ),
        rows=ClipRows(names, tuple(f"g{row // 2}" for row in range(clips)), np.arange(clips) % 2),
        specs=(
            ArraySpec(
                "student", 2, 3, 4, provenance={"weights": {"fingerprint": "5e", "from": "x"}}
            ),
            ArraySpec("teacher", 3, 1, 5, dtype="float32", views=2),
        ),
    )

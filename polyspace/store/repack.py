"""The same features in other files: in larger or smaller chunks, compressed, or in another type."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Shaped
from numpy import ndarray
from torch import Tensor

from polyspace.errors import StoreError
from polyspace.precision import FeatureType, to_compute
from polyspace.progress import Progress
from polyspace.store import chunks, ledger
from polyspace.store.block import Block, StoredBlock
from polyspace.store.encoding import Lost, as_tensor, summary_type
from polyspace.store.layout import ArraySpec, Compression, Part
from polyspace.store.ledger import Ledger
from polyspace.store.writer import StoreWriter, WorkItem

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Packing:
    """How features shall lie in their files; None: as they do."""

    clips_per_chunk: int | None = None
    compression: Compression | None = None
    storage: FeatureType | None = None


def repack(source: Path, out: Path, packing: Packing) -> Generator[Progress, None, Path]:
    """Write a finished store anew; return the new one, which has the same fingerprint.

    Only another type gives another fingerprint. What is stopped goes on where it was.

    Args:
        source: The store; it is only read.
        out: The new store, a folder that ends in .zarr.
        packing: What shall be otherwise.

    Raises:
        StoreError: The store is not finished, or there is another one at `out`.
        CorruptStoreError: A file of it is damaged.
    """
    book = ledger.read(source)
    if pending := book.coverage().pending:
        raise StoreError(
            f"{source} has {pending} clips that are not done: finish the extraction, then repack"
        )
    header = book.layout.header
    header = replace(
        header,
        clips_per_chunk=packing.clips_per_chunk or header.clips_per_chunk,
        compression=packing.compression or header.compression,
    )
    specs = [_respecified(spec, packing.storage) for spec in book.layout.specs.values()]
    with StoreWriter.open(out, header, book.layout.rows, specs) as writer:
        yield from _copy(_Source(book), writer, specs)
    return out


class _Source:
    """The store that is read: rows of its arrays as they lie there, each file checked."""

    def __init__(self, book: Ledger) -> None:
        self.book = book
        # Two files of each array are enough, because rows are asked for in ascending order.
        self._load = lru_cache(2 * 4 * len(book.layout.specs))(self._read)

    def rows(self, backbone: str, part: Part, rows: Sequence[int]) -> Shaped[ndarray, "clip ..."]:
        clips = self.book.layout.header.clips_per_chunk
        return np.stack([self._load(backbone, part, row // clips)[row % clips] for row in rows])

    def _read(self, backbone: str, part: Part, item: int) -> Shaped[ndarray, "clip ..."]:
        layout, entry = self.book.layout, self.book.entries[backbone, item]
        return chunks.load(layout.storage, layout.chunk(layout.specs[backbone], part, item), entry)

    def block(self, spec: ArraySpec, rows: Sequence[int]) -> Block | StoredBlock:
        """Give some rows for an array of the same type, as bytes, or of another one, as values."""
        old = self.book.layout.specs[spec.backbone]
        parts: dict[Part, Shaped[ndarray, "clip ..."]] = {
            part: self.rows(old.backbone, part, rows) for part in old.parts
        }
        if old.dtype == spec.dtype:
            # The losses of the whole array are told with its first clips.
            lost = self.book.lost(old.backbone) if 0 in rows else Lost()
            return StoredBlock(parts, lost)
        scale = torch.from_numpy(parts["scale"]).flatten(0, 1) if "scale" in parts else None
        tokens = as_tensor(torch.from_numpy(parts["tokens"]), old.dtype)
        summary = as_tensor(torch.from_numpy(parts["summary"]), summary_type(old.dtype))
        return Block(_wide(tokens, scale), to_compute(summary, CPU), parts["time_seconds"])


def _wide(
    tokens: Shaped[Tensor, "clip view time space dim"], scale: Float32[Tensor, "row dim"] | None
) -> Float32[Tensor, "clip view time space dim"]:
    return to_compute(tokens.flatten(0, 1), CPU, scale).unflatten(0, tokens.shape[:2])


def _respecified(spec: ArraySpec, storage: FeatureType | None) -> ArraySpec:
    """Say of an array that it is of another type, and which one it was of."""
    if storage in (None, spec.dtype):
        return spec
    return replace(spec, dtype=storage, provenance={**spec.provenance, "encoded_from": spec.dtype})


def _copy(source: _Source, writer: StoreWriter, specs: Sequence[ArraySpec]) -> Generator[Progress]:
    total = len(source.book.layout.rows)
    done = total - sum(map(len, writer.pending()))
    while writer.awaits_work():
        for item in writer.claims():
            _copy_item(source, writer, [s for s in specs if s.backbone in item.backbones], item)
            done += len(item)
            yield Progress(done, total, f"{done} of {total} clips")


def _copy_item(
    source: _Source, writer: StoreWriter, specs: Sequence[ArraySpec], item: WorkItem
) -> None:
    """Write an item's clips, of each backbone those that it has seen."""
    ids = source.book.layout.rows.ids
    for spec in specs:
        denied = source.book.quarantined(spec.backbone)
        here = {ids[row]: denied[ids[row]] for row in item.rows if ids[row] in denied}
        writer.write(item, {spec.backbone: source.block(spec, item.rows)}, here)

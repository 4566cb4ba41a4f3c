"""The writer: makes or resumes a store, says what is missing, and writes it durably."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Shaped
from numpy import ndarray
from torch import Tensor

from polyspace.errors import StorageRangeError, StoreError
from polyspace.precision import overflow_threshold, to_storage
from polyspace.store import codec, fingerprint, ledger, metadata
from polyspace.store.layout import (
    PARTS,
    ArraySpec,
    ClipRows,
    Layout,
    Part,
    StoreHeader,
    canonical,
)


@dataclass(frozen=True)
class WorkItem:
    """Clips that are extracted and written together."""

    index: int
    start: int
    """First row."""
    stop: int
    """The row after the last."""
    backbones: tuple[str, ...]
    """Whose features are missing."""

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Block:
    """One backbone's features of one work item."""

    tokens: Float32[Tensor, "clip view time space dim"]
    summary: Float32[Tensor, "clip view dim"]
    seconds: Float64[ndarray, "clip view time 2"]
    """Start and end of what each temporal position saw."""


class StoreWriter:
    """Writes work items; a kill at any moment loses none that was acknowledged.

    One writer at a time: leases, which let several share a store, come with a later version.

    Example:
        with StoreWriter.open(path, header, rows, specs) as writer:
            for item in writer.pending():
                writer.write(item, extract(item), quarantined={})
    """

    def __init__(self, layout: Layout, specs: Sequence[ArraySpec]) -> None:
        self._layout = layout
        self._specs = {spec.backbone: spec for spec in specs}
        self._vouched = fingerprint.of_arrays(layout)
        self._finished = dict(ledger.read(layout).entries)
        self._file = ledger.LedgerFile(layout.ledger)

    @classmethod
    def open(
        cls, path: Path, header: StoreHeader, rows: ClipRows, specs: Sequence[ArraySpec]
    ) -> "StoreWriter":
        """Make a store, or resume one; backbones that it doesn't hold yet are added to it.

        Raises:
            StoreError: The store there holds other clips, or other features of a backbone.
            CorruptStoreError: Its metadata or its ledger is damaged.
        """
        if not metadata.is_store(path):
            metadata.create(Layout(path, header, rows, {}))
        _sweep(path)
        layout = metadata.read(path)
        _refuse_other_clips(layout, header, rows)
        for spec in specs:
            _refuse_other_features(layout, spec)
        for spec in specs:
            if spec.backbone not in layout.specs:
                layout = metadata.add_arrays(layout, spec)
        return cls(layout, specs)

    def pending(self) -> list[WorkItem]:
        """Say what is left: items without a ledger line, or whose files are not as they must be."""
        return [
            WorkItem(item, *self._layout.bounds(item), missing)
            for item in self._layout.items
            if (missing := tuple(name for name in self._specs if not self._is_done(name, item)))
        ]

    def write(
        self, item: WorkItem, blocks: Mapping[str, Block], quarantined: Mapping[str, str]
    ) -> None:
        """Write what some backbones saw in an item's clips; it is durable when this returns.

        Args:
            item: One of `pending`.
            blocks: By backbone; the rows of quarantined clips are ignored.
            quarantined: Clip ids and the reason why there is nothing of them.

        Raises:
            StorageRangeError: A value that the storage type can't hold; nothing was written.
            StoreError: Blocks of another shape, or clips that are not the item's.
        """
        ids = self._layout.rows.ids[item.start : item.stop]
        strangers = sorted(set(quarantined) - set(ids))
        if strangers:
            raise StoreError(f"quarantined {', '.join(strangers)}: not among item {item.index}")
        keep = np.array([name not in quarantined for name in ids])
        stored = {
            name: _stored(block, self._specs[name], ids, keep) for name, block in blocks.items()
        }
        for name, parts in stored.items():
            self._publish(item, name, parts, quarantined)

    def __enter__(self) -> "StoreWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def _is_done(self, backbone: str, item: int) -> bool:
        chunks = self._layout.chunks(self._specs[backbone], item)
        return (backbone, item) in self._finished and all(
            codec.wrong_size(chunk) is None for chunk in chunks
        )

    def _publish(
        self,
        item: WorkItem,
        backbone: str,
        parts: Sequence[Shaped[ndarray, "clip ..."]],
        quarantined: Mapping[str, str],
    ) -> None:
        """Write the files, and only when they are durable the line that vouches for them."""
        spec = self._specs[backbone]
        chunks = self._layout.chunks(spec, item.index)
        for chunk, rows in zip(chunks, parts, strict=True):
            codec.write(chunk, rows)
        ids = self._layout.rows.ids[item.start : item.stop]
        digests = zip(ids, codec.row_digests(parts), strict=True)
        entry = ledger.Entry(
            item=item.index,
            start=item.start,
            stop=item.stop,
            backbone=backbone,
            array=self._vouched[backbone],
            sha256=tuple(None if name in quarantined else digest for name, digest in digests),
            quarantined=dict(quarantined),
            bytes=sum(chunk.file_bytes for chunk in chunks),
            written_at=ledger.now(),
        )
        self._file.append(entry)
        self._finished[backbone, item.index] = entry


def _sweep(path: Path) -> None:
    """Remove what killed writers left half-written."""
    for partial in path.rglob("*.partial"):
        partial.unlink()


def _refuse_other_clips(layout: Layout, header: StoreHeader, rows: ClipRows) -> None:
    """Refuse a store of another header, or of other clips."""
    _refuse(
        f"{layout.path} was made with",
        layout.header.identity | layout.rows.identity,
        header.identity | rows.identity,
    )


def _refuse_other_features(layout: Layout, spec: ArraySpec) -> None:
    """Refuse to mix a backbone's features with those of other weights, shape or type."""
    if found := layout.specs.get(spec.backbone):
        _refuse(f"{layout.path} holds {spec.backbone} with", found.identity, spec.identity)


def _refuse(whose: str, found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Compare two identities.

    Raises:
        StoreError: They differ; the message shows where.
    """
    for name, value in expected.items():
        if canonical(found[name]) != canonical(value):
            raise StoreError(
                f"{whose} {name} {_show(found[name], value)}, expected "
                f"{_show(value, found[name])}: give another --out folder, or the settings and "
                f"weights it was made with"
            )


def _show(mine: object, theirs: object) -> str:
    """Show a value next to another one, long lists by where they part."""
    if not isinstance(mine, list | tuple) or not isinstance(theirs, list | tuple):
        return canonical(mine)
    if len(mine) != len(theirs):
        return f"of {len(mine)} entries"
    row = next(row for row, pair in enumerate(zip(mine, theirs, strict=True)) if pair[0] != pair[1])
    return f"{mine[row]!r} at place {row}"


def _stored(
    block: Block, spec: ArraySpec, ids: Sequence[str], keep: Bool[ndarray, " row"]
) -> tuple[Float[ndarray, "clip ..."], ...]:
    """Bring a block into the types of its arrays, with NaN for the clips that are not kept."""
    values: dict[Part, Tensor] = {
        "tokens": block.tokens,
        "summary": block.summary,
        "time_seconds": torch.from_numpy(block.seconds),
    }
    return tuple(_stored_part(values[part], spec, part, ids, keep) for part in PARTS)


def _stored_part(
    values: Float[Tensor, "clip ..."],
    spec: ArraySpec,
    part: Part,
    ids: Sequence[str],
    keep: Bool[ndarray, " row"],
) -> Float[ndarray, "clip ..."]:
    expected = (len(ids), *spec.row_shape(part))
    if values.shape != expected:
        raise StoreError(
            f"{part} of {spec.backbone}: found {tuple(values.shape)}, expected {expected}"
        )
    rows = np.full(expected, np.nan, spec.stored_type(part))
    kept = values[torch.from_numpy(keep)]
    try:
        exact = _finite(kept) if part == "time_seconds" else to_storage(kept, spec.dtype)
    except StorageRangeError as error:
        limit = overflow_threshold(spec.dtype)
        # Written so that NaN, which compares false with everything, counts as offending.
        offending = ~(kept.abs().flatten(1).amax(1) < limit).numpy(force=True)
        names = ", ".join(np.array(ids)[keep][offending])
        raise StorageRangeError(f"{part} of {spec.backbone}, clips {names}: {error}") from error
    rows[keep] = exact.numpy(force=True)
    return rows


def _finite(seconds: Float[Tensor, "clip view time 2"]) -> Float[Tensor, "clip view time 2"]:
    """Refuse times that are not finite; they are stored as they are."""
    if not bool(torch.isfinite(seconds).all()):
        raise StorageRangeError("times must be finite: mend the clip's time stamps")
    return seconds

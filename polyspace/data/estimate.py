"""What a feature store will take on disk: features to the byte, what stands beside them closely."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path

from polyspace.errors import StoreError
from polyspace.store.layout import CHECKSUM_BYTES, ArraySpec
from polyspace.store.objects import SCHEME

ARRAY_BYTES = 1100
"""Of an array's zarr.json, beside its attributes."""
ITEM_BYTES = 600
"""Of a work item's line in the ledger, beside its digests."""
DIGEST_BYTES = 67
"""Of a clip in that line: a sha256 in hexadecimal, its quotation marks and its comma."""
CLIP_BYTES = 72
"""Of a clip in the columns: id, group, label and state, taken for 24, 24, 8 and 16 bytes."""
STORE_BYTES = 8000
"""Of a store's own metadata."""

UNITS = ("kB", "MB", "GB", "TB")


@dataclass(frozen=True)
class Size:
    """What the features of some clips take on disk."""

    features: Mapping[str, int]
    """Bytes of each backbone's chunk files."""
    records: int
    """Bytes of metadata, columns and ledger, closely."""

    @property
    def total(self) -> int:
        """Bytes of all."""
        return sum(self.features.values()) + self.records


def bytes_of(specs: Sequence[ArraySpec], clips: int, *, clips_per_chunk: int) -> Size:
    """Compute what features will take on disk, not compressed.

    Args:
        specs: What the backbones' arrays hold.
        clips: How many there are.
        clips_per_chunk: Clips of one file, the last of which is filled up to that size.
    """
    if not clips:
        return Size({spec.backbone: 0 for spec in specs}, 0)
    items = -(-clips // clips_per_chunk)
    return Size(
        features={spec.backbone: items * _chunk_bytes(spec, clips_per_chunk) for spec in specs},
        records=STORE_BYTES
        + clips * CLIP_BYTES
        + sum(_record_bytes(spec, clips, items) for spec in specs),
    )


def check_disk(
    path: Path, specs: Sequence[ArraySpec], clips_missing: int, *, clips_per_chunk: int
) -> None:
    """Refuse to begin what the disk can't hold; what lies in an object store is not asked for.

    Args:
        path: Where the store is or will be.
        specs: What is to be written of each clip.
        clips_missing: Clips of which it isn't there yet.
        clips_per_chunk: Clips of one file.

    Raises:
        StoreError: Less is free than they will take.
    """
    needed = bytes_of(specs, clips_missing, clips_per_chunk=clips_per_chunk).total
    free = free_bytes(path)
    if free is not None and needed > free:
        raise StoreError(
            f"{clips_missing} clips of {', '.join(spec.backbone for spec in specs)} need "
            f"{in_words(needed)}, {in_words(free)} are free at {path}: {_remedy(specs)}"
        )


def free_bytes(path: Path) -> int | None:
    """Give what is free where a path is or will be; None for an object store, which has no end."""
    if path.parts[:1] == (SCHEME,):
        return None
    return shutil.disk_usage(nearest_folder(path)).free


def nearest_folder(path: Path) -> Path:
    """Give the folder on a path that exists already, the last one."""
    resolved = path.expanduser().absolute()
    return next(place for place in (resolved, *resolved.parents) if place.is_dir())


def in_words(size_bytes: int) -> str:
    """Say a number of bytes as people do, in powers of a thousand."""
    if size_bytes < 1000:
        return f"{size_bytes} bytes"
    power = min((len(str(size_bytes)) - 1) // 3, len(UNITS))
    return f"{size_bytes / 1000**power:.1f} {UNITS[power - 1]}"


def _chunk_bytes(spec: ArraySpec, clips_per_chunk: int) -> int:
    """Give the size of one work item's files, checksums included."""
    row_bytes = sum(prod(spec.row_shape(p)) * spec.stored_type(p).itemsize for p in spec.parts)
    return clips_per_chunk * row_bytes + CHECKSUM_BYTES * len(spec.parts)


def _record_bytes(spec: ArraySpec, clips: int, items: int) -> int:
    """Give what is written about one backbone: its arrays' metadata and its lines in the ledger."""
    attributes = len(json.dumps(asdict(spec), indent=2))
    lines = clips * DIGEST_BYTES + items * ITEM_BYTES
    return len(spec.parts) * (ARRAY_BYTES + attributes) + lines


def _remedy(specs: Sequence[ArraySpec]) -> str:
    if any(spec.space > 1 for spec in specs):
        return "choose --spatial 1, or another --out"
    if any(spec.dtype != "int8" for spec in specs):
        return "choose --storage int8, or another --out"
    return "choose another --out"

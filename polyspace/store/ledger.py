"""The ledger: one fsynced line for every finished work item of every backbone.

Nothing else says what is done. Each writer appends to a file of its own, so that writers never
wait for each other and a line torn by a kill can only be the last one of its file. Each line is a
JSON object that ends in the crc32c of what stands before.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import google_crc32c
import numpy as np
from jaxtyping import Bool
from numpy import ndarray
from pydantic import ValidationError

from polyspace.config import Config
from polyspace.errors import CorruptStoreError
from polyspace.files import sync_folder
from polyspace.store import fingerprint
from polyspace.store.layout import Layout

CHECKSUM = ',"crc32c":"'


class Entry(Config):
    """One work item of one backbone: finished, durable, and what its bytes were."""

    item: int
    start: int
    """First row."""
    stop: int
    """The row after the last."""
    backbone: str
    array: str
    """What the line vouches for (see `fingerprint.of_arrays`)."""
    sha256: tuple[str | None, ...]
    """Of each clip, over its stored bytes in all arrays; None where it was quarantined."""
    quarantined: dict[str, str]
    """Clip ids and the reason why there is nothing of them."""
    bytes: int
    """Size of the item's files."""
    written_at: str
    """When the files were durable: UTC, ISO 8601, microseconds."""


@dataclass(frozen=True)
class Coverage:
    """How much of a store is there, over all of its backbones."""

    clips: int
    done: int
    """Clips that every backbone has seen."""
    quarantined: Mapping[str, str]
    """Clip ids that some backbone was denied, and why."""
    pending: int
    """Clips that are neither: the extraction was stopped before them."""


@dataclass(frozen=True)
class Ledger:
    """The newest line of every work item and backbone, and what follows from them."""

    layout: Layout
    entries: Mapping[tuple[str, int], Entry]
    """By backbone and work item."""

    def of(self, backbone: str) -> Iterator[Entry]:
        """Give a backbone's lines in the order of the work items."""
        found = (self.entries.get((backbone, item)) for item in self.layout.items)
        return (entry for entry in found if entry is not None)

    def digests(self, backbone: str) -> list[str | None]:
        """Give each clip's sha256; None where it is pending or quarantined."""
        digests: list[str | None] = [None] * len(self.layout.rows)
        for entry in self.of(backbone):
            digests[entry.start : entry.stop] = entry.sha256
        return digests

    def done(self, backbone: str) -> Bool[ndarray, " clip"]:
        """Tell which clips have features."""
        return np.array([digest is not None for digest in self.digests(backbone)])

    def quarantined(self, backbone: str) -> dict[str, str]:
        """Give the clips that were given up, and why."""
        return {name: why for entry in self.of(backbone) for name, why in entry.quarantined.items()}

    def coverage(self) -> Coverage:
        """Sum up over all backbones."""
        clips, done = len(self.layout.rows), np.ones(len(self.layout.rows), dtype=bool)
        quarantined: dict[str, str] = {}
        for backbone in self.layout.specs:
            done &= self.done(backbone)
            quarantined |= self.quarantined(backbone)
        count = int(done.sum())
        return Coverage(clips, count, quarantined, clips - count - len(quarantined))


def read(layout: Layout) -> Ledger:
    """Merge all files of a store's ledger; of two lines on the same item, the later one counts.

    Raises:
        CorruptStoreError: A line is damaged, or vouches for something else than this store says
            it is.
    """
    lines = [entry for path in sorted(layout.ledger.glob("*.jsonl")) for entry in _parse(path)]
    known = fingerprint.of_arrays(layout)
    for entry in lines:
        _check(entry, layout, known)
    lines.sort(key=lambda entry: entry.written_at)
    return Ledger(layout, {(entry.backbone, entry.item): entry for entry in lines})


class LedgerFile:
    """One writer's file of the ledger, made when its first line is written."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{now().replace(':', '')}-{os.getpid()}.jsonl"
        self._file: BinaryIO | None = None

    def append(self, entry: Entry) -> None:
        """Write one line; it is durable when this returns."""
        if self._file is None:
            self._file = self._path.open("xb")
            sync_folder(self._path.parent)
        self._file.write(_line(entry))
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()


def now() -> str:
    """Give the time as `Entry.written_at` wants it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _line(entry: Entry) -> bytes:
    """Write an entry as JSON whose last key checks all that stands before it."""
    head = entry.model_dump_json().removesuffix("}")
    return f'{head}{CHECKSUM}{_checksum(head.encode())}"}}\n'.encode()


def _parse(path: Path) -> Iterator[Entry]:
    """Read one file; what follows its last line break was never acknowledged."""
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        head, _, check = line.rpartition(CHECKSUM.encode())
        try:
            if check != f'{_checksum(head)}"}}'.encode():
                raise ValueError("its crc32c differs")
            yield Entry.model_validate_json(head + b"}")
        except (ValueError, ValidationError) as error:
            raise CorruptStoreError(
                f"line {number} of {path} is damaged ({error}): delete the line, and run featurize "
                f"again, which redoes its clips"
            ) from error


def _check(entry: Entry, layout: Layout, known: Mapping[str, str]) -> None:
    """Refuse a line that was not written for this store as it is now."""
    if known.get(entry.backbone) != entry.array or entry.item not in layout.items:
        raise CorruptStoreError(
            f"the ledger of {layout.path} vouches for item {entry.item} of {entry.backbone} under "
            f"other clips, labels, classes or weights than zarr.json and its columns now say: "
            f"restore the store from a copy, or extract it again"
        )
    start, stop = layout.bounds(entry.item)
    if (entry.start, entry.stop, len(entry.sha256)) != (start, stop, stop - start):
        raise CorruptStoreError(
            f"the ledger of {layout.path} has item {entry.item} of {entry.backbone} at rows "
            f"{entry.start} to {entry.stop}, expected {start} to {stop}: restore zarr.json from a "
            f"copy, or extract the store again"
        )


def _checksum(text: bytes) -> str:
    return f"{google_crc32c.value(text):08x}"

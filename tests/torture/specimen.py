"""The small stores that are tortured: every value can be made again, from its row alone."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr

from polyspace.errors import StoreError
from polyspace.store import ledger
from polyspace.store.block import Block
from polyspace.store.layout import ArraySpec, ClipRows, Compression, StoreHeader
from polyspace.store.reader import FeatureStore
from polyspace.store.writer import StoreWriter, WorkItem
from tests.support.stages import finish

CLIPS_PER_ITEM = 4


@dataclass(frozen=True)
class Specimen:
    """What is written."""

    clips: int = 46
    """Not a multiple of an item's: the last chunk is filled up."""
    compression: Compression = "none"
    backbones: Sequence[str] = ("student", "teacher")
    term_seconds: float = 5.0
    """Of leases; a writer that is killed while it makes one leaves a file that names nobody."""

    @property
    def items(self) -> int:
        """Work items."""
        return -(-self.clips // CLIPS_PER_ITEM)

    def open(self, path: Path) -> StoreWriter:
        """Make or resume it."""
        header = StoreHeader(
            "toy", "train", ("in", "out"), CLIPS_PER_ITEM, {"views": 1}, self.compression
        )
        names = tuple(f"v_Tähti_{row:03d}" for row in range(self.clips))
        rows = ClipRows(names, names, np.arange(self.clips) % 2)
        specs = [SPECS[name] for name in self.backbones]
        return StoreWriter.open(path, header, rows, specs, term_seconds=self.term_seconds)

    def write(self, path: Path, items: Iterable[int] | None = None, *, taint: int = 0) -> Path:
        """Write all of it, or some items."""
        wanted = set(range(self.items) if items is None else items)
        with self.open(path) as writer:
            for item in writer.pending():
                if item.index in wanted:
                    writer.write(item, blocks(item, taint=taint), {})
        return path


SPECS = {
    spec.backbone: spec
    for spec in (
        ArraySpec("student", time=2, space=4, dim=8, provenance={"weights": {"fingerprint": "5e"}}),
        ArraySpec("teacher", time=3, space=1, dim=6, views=2, dtype="int8"),
    )
}


def blocks(item: WorkItem, *, taint: int = 0) -> Mapping[str, Block]:
    """Give what the backbones see of an item's clips; with a taint, something else."""
    return {name: _block(SPECS[name], item.rows, taint) for name in item.backbones}


def clips(path: Path) -> dict[str, list[str]]:
    """Give the sha256 of every clip in each backbone's arrays, as stock zarr reads them."""
    group = zarr.open_group(path, mode="r")
    names = [name for name in SPECS if f"tokens/{name}" in group]
    return {
        name: [
            hashlib.sha256(b"".join(row.tobytes() for row in rows)).hexdigest()
            for rows in zip(
                *(np.asarray(group[f"{part}/{name}"]) for part in SPECS[name].parts), strict=True
            )
        ]
        for name in names
    }


def ledger_lines(path: Path) -> list[dict[str, Any]]:
    """Give the lines on work items of all ledger files, read without the store's own code."""
    files = [file.read_bytes().split(b"\n")[:-1] for file in path.glob("ledger/*.jsonl")]
    lines = [json.loads(line) for file in files for line in file]
    return [line for line in lines if "item" in line]


def differences(path: Path, whole: Path) -> list[str]:
    """Say in what a finished store differs from one that nobody disturbed."""
    found, expected = clips(path), clips(whole)
    wrong = [
        f"{path.name}: clip {row} of {name} differs"
        for name in expected
        for row, digest in enumerate(expected[name])
        if found[name][row] != digest
    ]
    if FeatureStore.open(path).fingerprint != FeatureStore.open(whole).fingerprint:
        wrong.append(f"{path.name}: its fingerprint differs")
    return wrong + problems(path)


def problems(path: Path) -> list[str]:
    """Say what `verify` names."""
    return [problem.what for problem in finish(FeatureStore.open(path).verify()).problems]


def lost(path: Path, done: set[int]) -> Iterator[str]:
    """Find items that were acknowledged, and that the ledger or the files know nothing of."""
    try:
        book = ledger.read(path)
    except StoreError as error:
        # Killed before there was a store; then nothing may have been acknowledged either.
        if done or "no feature store" not in str(error):
            yield f"{path.name}: {error}"
        return
    for item in sorted(done):
        if any(book.pending(name, item) for name in book.layout.specs):
            yield f"{path.name}: item {item} was acknowledged, and is lost"


def _block(spec: ArraySpec, rows: Iterable[int], taint: int) -> Block:
    tokens, summary, seconds = (
        np.stack([_values(spec, place, row, taint) for row in rows]) for place in range(3)
    )
    return Block(torch.from_numpy(tokens).float(), torch.from_numpy(summary).float(), seconds)


def _values(spec: ArraySpec, place: int, row: int, taint: int) -> np.ndarray:
    draw = np.random.default_rng((row, place, spec.dim, taint))
    return draw.standard_normal(spec.row_shape(spec.parts[place]))

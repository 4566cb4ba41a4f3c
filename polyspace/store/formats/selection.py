"""What leaves a store: the clips that all chosen backbones have seen, a batch at a time."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from math import prod
from typing import Any

import torch
from jaxtyping import Float, Int64
from numpy import ndarray
from torch import Tensor

from polyspace.errors import StoreError
from polyspace.precision import STORAGE_TYPES, StorageType
from polyspace.progress import Progress
from polyspace.store.encoding import summary_type
from polyspace.store.layout import PARTS, ArraySpec, Part
from polyspace.store.reader import FeatureStore

BATCH_BYTES = 2**26
"""Features in memory at a time, unless a single clip has more."""


@dataclass(frozen=True)
class Column:
    """One array, under the name that it has in the store."""

    part: Part
    spec: ArraySpec
    dtype: torch.dtype
    """Type in which it leaves."""

    @property
    def name(self) -> str:
        """`tokens/videomae` and the like."""
        return f"{self.part}/{self.spec.backbone}"

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one clip."""
        return self.spec.row_shape(self.part)

    @property
    def row_bytes(self) -> int:
        """Size of one clip."""
        return prod(self.row_shape) * self.dtype.itemsize


@dataclass(frozen=True, eq=False)
class Selection:
    """Clips and arrays of a store."""

    store: FeatureStore
    rows: Int64[ndarray, " row"]
    columns: tuple[Column, ...]

    @property
    def ids(self) -> list[str]:
        """Give each clip's id."""
        return [self.store.ids[row] for row in self.rows]

    @property
    def groups(self) -> list[str]:
        """Give each clip's group."""
        return [self.store.groups[row] for row in self.rows]

    @property
    def labels(self) -> Int64[ndarray, " row"]:
        """Give each clip's label."""
        return self.store.labels[self.rows]

    @property
    def facts(self) -> dict[str, Any]:
        """Say what the clips and the arrays are, as JSON values."""
        specs = {column.spec.backbone: column.spec for column in self.columns}
        return {
            "dataset": self.store.dataset,
            "split": self.store.split,
            "class_names": list(self.store.class_names),
            "fingerprint": self.store.fingerprint,
            "polyspace": version("polyspace"),
            "backbones": {name: asdict(spec) for name, spec in specs.items()},
        }

    def batches(self) -> Iterator[Int64[ndarray, " row"]]:
        """Part the rows so that a batch of all columns fits into memory."""
        clips = max(1, BATCH_BYTES // sum(column.row_bytes for column in self.columns))
        return (self.rows[start : start + clips] for start in range(0, len(self.rows), clips))

    def stream(self, column: Column, write: Callable[[memoryview], object]) -> Iterator[Progress]:
        """Write a column's values, little-endian, a batch at a time."""
        before = self.columns.index(column) * len(self.rows)
        for rows in self.batches():
            write(self.values(column, rows).view(torch.uint8).numpy().data)
            before += len(rows)
            yield Progress(before, len(self.columns) * len(self.rows), column.name)

    def values(
        self, column: Column, rows: Int64[ndarray, " clip"]
    ) -> Float[Tensor, "clip view ..."]:
        """Give some rows of a column, with all of their views."""
        views = [self._view(column, rows, view) for view in range(column.spec.views)]
        return torch.stack(views, dim=1)

    def _view(
        self, column: Column, rows: Int64[ndarray, " clip"], view: int
    ) -> Float[Tensor, "clip ..."]:
        name, part = column.spec.backbone, column.part
        if column.dtype == torch.float32:
            read = self.store.tokens if part == "tokens" else self.store.summary
            return read(name, rows, view=view)
        return self.store.stored(name, rows, part=part, view=view)


def select(
    store: FeatureStore, backbones: tuple[str, ...], known: tuple[StorageType, ...]
) -> Selection:
    """Choose what leaves a store.

    Args:
        store: The store.
        backbones: Whose features; none named: all.
        known: Types that the format has. What is stored in another one leaves as float32.

    Raises:
        StoreError: The store lacks a backbone, or has no clip that all of them have seen.
    """
    names = backbones or tuple(store.backbones)
    rows = store.rows(names)
    if not len(rows):
        raise StoreError(
            f"{store.path} has no clip with features of {' and '.join(names) or 'a backbone'}: "
            f"finish the extraction first"
        )
    columns = tuple(_column(store.backbones[name], part, known) for name in names for part in PARTS)
    return Selection(store, rows, columns)


def _column(spec: ArraySpec, part: Part, known: tuple[StorageType, ...]) -> Column:
    """Let an array leave in its own type, unless that is none that the format knows."""
    if part == "time_seconds":
        return Column(part, spec, torch.float64)
    dtype = STORAGE_TYPES[summary_type(spec.dtype)] if spec.dtype in known else torch.float32
    return Column(part, spec, dtype)

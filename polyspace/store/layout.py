"""How a feature store lies on disk: names, shapes, and what its parts are called.

::

    <dataset>_<split>.zarr/          zarr format 3 group; its attributes are the header
      id  group  label               [clip]
      tokens/<backbone>              [clip view time space dim]
      summary/<backbone>             [clip view dim]
      time_seconds/<backbone>        [clip view time 2]
      scale/<backbone>               [clip view dim], of the types scaled and int8 only
      state                          [clip], derived from the ledger for those who don't read it
      statistics/<backbone>          mean [dim] and covariance [dim dim], of training splits
      ledger/*.jsonl                 what was written; the only truth about what is done
      leases/*                       who is writing what; gone when nobody is

One chunk file is one work item's share of one array: all views, times, places and dimensions of
`clips_per_chunk` clips, little-endian, followed by four bytes of crc32c. The last one is filled
up with what holes hold (NaN), so that every chunk file of an array has the same size.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from polyspace.errors import ConfigError, DatasetError, LabelError
from polyspace.precision import FeatureType
from polyspace.store.encoding import element_type, summary_type
from polyspace.store.storage import Storage

SCHEMA = 2
"""Version of everything that this module says. Stores of schema 1 lack `state`, `scale` and the
ledger's word on files; they are read, completed and verified as they are."""

READABLE = (1, 2)

CHECKSUM_BYTES = 4
"""crc32c after the payload of every chunk file."""

Part = Literal["tokens", "summary", "time_seconds", "scale"]
PARTS: tuple[Part, ...] = ("tokens", "summary", "time_seconds")
"""The arrays that every backbone has, in the order in which a clip's sha256 runs over them."""

Compression = Literal["none", "zstd"]
"""none: chunk files can be mapped. zstd: a few percent smaller, for archives."""

AXES: dict[Part, tuple[str, ...]] = {
    "tokens": ("clip", "view", "time", "space", "dim"),
    "summary": ("clip", "view", "dim"),
    "time_seconds": ("clip", "view", "time", "bound"),
    "scale": ("clip", "view", "dim"),
}


@dataclass(frozen=True)
class StoreHeader:
    """What a store is about; fixed when it is made."""

    dataset: str
    split: str
    class_names: tuple[str, ...]
    clips_per_chunk: int
    """Clips of one work item; one file per array holds them."""
    protocol: Mapping[str, Any]
    """How clips were cut and sampled; JSON values."""
    compression: Compression = "none"

    @property
    def identity(self) -> dict[str, Any]:
        """What may not change while a store is written."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class ClipRows:
    """Which clip each row is; fixed when the store is made."""

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    """What must not be shared between splits: the source video, picture or person."""
    labels: Int64[ndarray, " clip"]

    def __post_init__(self) -> None:
        """Refuse lists of different lengths, a clip without id or group, and ids of two clips."""
        counts = len(self.ids), len(self.groups), len(self.labels)
        if len(set(counts)) != 1 or not all(counts):
            raise DatasetError(f"{counts} ids, groups and labels: give one of each per clip")
        if not all(self.ids) or not all(self.groups):
            raise DatasetError("a clip has an empty id or group: give each clip both")
        name, count = Counter(self.ids).most_common(1)[0]
        if count > 1:
            raise DatasetError(f"clip id {name!r} appears {count} times: make ids unique")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def identity(self) -> dict[str, Any]:
        """The rows as JSON values."""
        return {
            "ids": list(self.ids),
            "groups": list(self.groups),
            "labels": self.labels.tolist(),
        }


@dataclass(frozen=True)
class ArraySpec:
    """What one backbone's arrays hold."""

    backbone: str
    time: int
    """Temporal positions of the token grid."""
    space: int
    """Places of the token grid, row by row."""
    dim: int
    views: int = 1
    dtype: FeatureType = "float16"
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Where the features come from; JSON values. What lies under a key that ends in "fingerprint",
    at any depth, decides whether two arrays are the same; everything else is a record."""

    def __post_init__(self) -> None:
        """Refuse empty axes, and names that would leave the store's folder."""
        if min(self.views, self.time, self.space, self.dim) < 1:
            raise ConfigError(f"{self.backbone} has an empty axis in {self.row_shape('tokens')}")
        if not self.backbone.replace("-", "_").isidentifier():
            raise ConfigError(f"backbone name {self.backbone!r}: use letters, digits, _ and -")

    @property
    def parts(self) -> tuple[Part, ...]:
        """The backbone's arrays, in the order in which a clip's sha256 runs over them."""
        return (*PARTS, "scale") if self.dtype in ("scaled", "int8") else PARTS

    @property
    def role(self) -> str | None:
        """What the backbone was extracted for, "student" or "teacher", if that was recorded."""
        return self.provenance.get("role")

    @property
    def identity(self) -> dict[str, Any]:
        """What may not change under a backbone's name: shape, type and every fingerprint."""
        return {
            "backbone": self.backbone,
            "shape": list(self.row_shape("tokens")),
            "dtype": self.dtype,
            "fingerprints": dict(_fingerprints(self.provenance)),
        }

    def row_shape(self, part: Part) -> tuple[int, ...]:
        """Give the shape of one clip in one of the arrays."""
        shapes: dict[Part, tuple[int, ...]] = {
            "tokens": (self.views, self.time, self.space, self.dim),
            "summary": (self.views, self.dim),
            "time_seconds": (self.views, self.time, 2),
            "scale": (self.views, self.dim),
        }
        return shapes[part]

    def stored_type(self, part: Part) -> np.dtype[Any]:
        """Give the type of the elements of one of the arrays on disk."""
        types: dict[Part, np.dtype[Any]] = {
            "tokens": element_type(self.dtype),
            "summary": element_type(summary_type(self.dtype)),
            "time_seconds": np.dtype("<f8"),
            "scale": np.dtype("<f4"),
        }
        return types[part]


@dataclass(frozen=True)
class Chunk:
    """One chunk file: where it is and what it must hold."""

    part: Part
    key: str
    """The file, as the storage knows it."""
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    compression: Compression

    @property
    def payload_bytes(self) -> int:
        """Size of the values, not compressed and without the checksum."""
        return int(np.prod(self.shape)) * self.dtype.itemsize


@dataclass(frozen=True, eq=False)
class Layout:
    """What a store says that it is: where everything lies, and nothing of what is done."""

    storage: Storage
    header: StoreHeader
    rows: ClipRows
    specs: Mapping[str, ArraySpec]
    """By backbone."""

    def __post_init__(self) -> None:
        """Refuse labels outside the classes."""
        low, high = int(self.rows.labels.min()), int(self.rows.labels.max())
        if low < 0 or high >= len(self.header.class_names):
            raise LabelError(
                f"labels {low} to {high} of {self.path}, expected 0 to "
                f"{len(self.header.class_names) - 1}: mend the data set's class list or its labels"
            )

    @property
    def path(self) -> Path:
        """The store's address."""
        return self.storage.path

    @property
    def items(self) -> range:
        """The work items' numbers."""
        return range(-(-len(self.rows) // self.header.clips_per_chunk))

    def bounds(self, item: int) -> tuple[int, int]:
        """Give the first row of a work item, and the one after its last."""
        start = item * self.header.clips_per_chunk
        return start, min(start + self.header.clips_per_chunk, len(self.rows))

    def chunk(self, spec: ArraySpec, part: Part, item: int) -> Chunk:
        """Give the chunk file of a work item in one of a backbone's arrays."""
        shape = (self.header.clips_per_chunk, *spec.row_shape(part))
        key = f"{part}/{spec.backbone}/c.{item}{'.0' * len(shape[1:])}"
        return Chunk(part, key, shape, spec.stored_type(part), self.header.compression)

    def chunks(self, spec: ArraySpec, item: int) -> tuple[Chunk, ...]:
        """Give the chunk files of a work item of one backbone, in the order of its parts."""
        return tuple(self.chunk(spec, part, item) for part in spec.parts)


def canonical(value: object) -> str:
    """Write a JSON value in the one way that equal values share."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _fingerprints(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Find what lies under keys that end in "fingerprint", at any depth."""
    if not isinstance(value, Mapping):
        return
    for key, inner in value.items():
        if str(key).endswith("fingerprint"):
            yield f"{path}{key}", inner
        else:
            yield from _fingerprints(inner, f"{path}{key}.")

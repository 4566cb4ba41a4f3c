"""The part of a store that zarr writes and reads: its groups, its header and its columns.

zarr makes every file in memory and we publish them, because zarr itself never calls fsync: after
a power loss its metadata could be empty where features are already acknowledged.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from operator import methodcaller
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import zarr
from jaxtyping import Shaped
from numpy import ndarray
from pydantic import TypeAdapter
from zarr.codecs import BytesCodec, Crc32cCodec
from zarr.core.buffer import Buffer
from zarr.core.chunk_key_encodings import DefaultChunkKeyEncoding
from zarr.storage import MemoryStore

from polyspace.errors import CorruptStoreError, StoreError
from polyspace.files import sync_folder, write_atomically
from polyspace.store.layout import (
    AXES,
    PARTS,
    SCHEMA,
    ArraySpec,
    ClipRows,
    Layout,
    Part,
    StoreHeader,
)

# One folder an array instead of five levels of them: half the cost of writing.
KEYS = DefaultChunkKeyEncoding(separator=".")


def create(layout: Layout) -> None:
    """Make a store without arrays. Until its last file is there, the folder is no store."""
    rows = layout.rows
    files: dict[str, Buffer] = {}
    group = zarr.create_group(MemoryStore(files), attributes=_header_attributes(layout.header))
    for part in PARTS:
        group.create_group(part)
    # A column file that got lost reads as its fill value, which no clip may have.
    _add_column(group, "id", rows.ids, dtype="string", fill="")
    _add_column(group, "group", rows.groups, dtype="string", fill="")
    _add_column(group, "label", rows.labels, dtype="int64", fill=-1)
    layout.ledger.mkdir(parents=True, exist_ok=True)
    _publish(layout.path, files, last="zarr.json")


def add_arrays(layout: Layout, spec: ArraySpec) -> Layout:
    """Add a backbone's arrays, all of it pending; nothing that is there is touched."""
    files: dict[str, Buffer] = {}
    group = zarr.create_group(MemoryStore(files))
    for part in PARTS:
        _add_array(group, layout, spec, part)
    own = {key: file for key, file in files.items() if f"/{spec.backbone}/" in key}
    _publish(layout.path, own, last=f"tokens/{spec.backbone}/zarr.json")
    return replace(layout, specs={**layout.specs, spec.backbone: spec})


def is_store(path: Path) -> bool:
    """Tell whether a folder is a store."""
    return (path / "zarr.json").is_file()


def read(path: Path) -> Layout:
    """Read what a store says that it is, and check that its arrays are as we would make them.

    Raises:
        StoreError: There is no store, or one of another schema.
        CorruptStoreError: Its metadata or columns are damaged.
    """
    if not is_store(path):
        raise StoreError(f"no feature store at {path}: make one with polyspace.data.featurize")
    try:
        return _read(path, zarr.open_group(path, mode="r"))
    except StoreError:
        raise
    # zarr, its codecs and pydantic each have their own words for bytes that were altered.
    except Exception as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error


def _read(path: Path, group: zarr.Group) -> Layout:
    attributes = group.attrs.asdict()
    if attributes.get("schema") != SCHEMA:
        raise StoreError(
            f"{path} has store schema {attributes.get('schema')}, this version of polyspace reads "
            f"{SCHEMA}: use the version that wrote it, or extract the store again"
        )
    header = TypeAdapter(StoreHeader).validate_python(attributes)
    ids, groups, labels = (_column(group, name) for name in ("id", "group", "label"))
    rows = ClipRows(tuple(map(str, ids)), tuple(map(str, groups)), labels)
    specs = [
        TypeAdapter(ArraySpec).validate_python(group[f"tokens/{name}"].attrs.asdict())
        for name in sorted(file.parent.name for file in path.glob("tokens/*/zarr.json"))
    ]
    layout = Layout(path, header, rows, {spec.backbone: spec for spec in specs})
    for spec in specs:
        _check_arrays(group, layout, spec)
    return layout


def _check_arrays(group: zarr.Group, layout: Layout, spec: ArraySpec) -> None:
    """Refuse arrays whose bytes would be read as something else than was written."""
    ours = zarr.create_group(MemoryStore())
    for part in PARTS:
        expected = _add_array(ours, layout, spec, part).metadata.to_dict()
        array = _array(group[f"{part}/{spec.backbone}"])
        found = array.metadata.to_dict()
        # Attributes that others add are welcome; ours must be as they were.
        expected["attributes"] = dict(array.attrs) | asdict(spec)
        differing = [key for key in expected if found.get(key) != expected[key]]
        if differing:
            raise _damaged(layout.path, f"{part}/{spec.backbone}: {', '.join(differing)} differ")


def _add_array(group: zarr.Group, layout: Layout, spec: ArraySpec, part: Part) -> zarr.Array[Any]:
    row = spec.row_shape(part)
    return group.create_array(
        f"{part}/{spec.backbone}",
        shape=(len(layout.rows), *row),
        chunks=(layout.header.clips_per_chunk, *row),
        dtype=spec.stored_type(part),
        serializer=BytesCodec(endian="little"),
        compressors=[Crc32cCodec()],
        fill_value=float("nan"),
        chunk_key_encoding=KEYS,
        dimension_names=AXES[part],
        attributes=asdict(spec),
    )


def _add_column(
    group: zarr.Group, name: str, values: Iterable[object], *, dtype: str, fill: str | int
) -> None:
    """Add one value per clip, in a single chunk."""
    column = np.array(list(values), dtype=object if dtype == "string" else dtype)
    array = group.create_array(
        name,
        shape=column.shape,
        chunks=column.shape,
        dtype=dtype,
        compressors=[Crc32cCodec()],
        fill_value=fill,
        chunk_key_encoding=KEYS,
        dimension_names=("clip",),
        config={"write_empty_chunks": True},
    )
    array[:] = column


def _header_attributes(header: StoreHeader) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        **asdict(header),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {name: version(name) for name in ("polyspace", "torch", "zarr")},
    }


def _publish(path: Path, files: Mapping[str, Buffer], *, last: str) -> None:
    """Write files that zarr made, durably; the last one makes the others count."""
    for key in sorted(files, key=lambda key: key == last):
        write_atomically(path / key, methodcaller("write", files[key].to_bytes()))
    for folder in {folder for key in files for folder in PurePath(key).parents}:
        sync_folder(path / folder)
    sync_folder(path.parent)


def _array(node: object) -> zarr.Array[Any]:
    if not isinstance(node, zarr.Array):
        raise TypeError(f"found {type(node).__name__}, expected an array")
    return node


def _column(group: zarr.Group, name: str) -> Shaped[ndarray, " clip"]:
    return np.asarray(_array(group[name])[:])


def _damaged(path: Path, what: str) -> CorruptStoreError:
    return CorruptStoreError(
        f"the metadata of {path} is damaged ({what}): restore it from a copy, or extract the "
        f"store again"
    )

"""The part of a store that zarr writes and reads: its groups, its header and its columns.

zarr makes and reads every file in memory and we publish them, because zarr itself never calls
fsync: after a power loss its metadata could be empty where features are already acknowledged. The
ledger vouches for each of these files.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from jaxtyping import Shaped
from numpy import ndarray
from pydantic import TypeAdapter
from zarr.abc.codec import BytesBytesCodec
from zarr.codecs import BytesCodec, Crc32cCodec, ZstdCodec
from zarr.core.buffer import Buffer, default_buffer_prototype
from zarr.core.chunk_key_encodings import DefaultChunkKeyEncoding
from zarr.storage import MemoryStore

from polyspace.errors import CorruptStoreError, StoreError
from polyspace.store import codec, encoding, storage
from polyspace.store.journal import FOLDER, JournalReader, LedgerFile, Lines, Vouched
from polyspace.store.layout import (
    AXES,
    PARTS,
    READABLE,
    SCHEMA,
    ArraySpec,
    ClipRows,
    Layout,
    Part,
    StoreHeader,
)
from polyspace.store.local import PARTIAL
from polyspace.store.storage import Storage

# One folder an array instead of five levels of them: half the cost of writing.
KEYS = DefaultChunkKeyEncoding(separator=".")

ROOT = "zarr.json"
STATE = "state"
COLUMNS = ("id", "group", "label", STATE)
STATISTICS = "statistics"


def create(layout: Layout, ledger: LedgerFile) -> None:
    """Make a store without arrays. Until its last file is there, the folder is no store."""
    rows, files = layout.rows, dict[str, Buffer]()
    group = zarr.create_group(MemoryStore(files), attributes=_header_attributes(layout.header))
    for part in PARTS:
        group.create_group(part)
    # A column file that got lost reads as its fill value, which no clip may have.
    add_column(group, "id", rows.ids, dtype="string", fill="")
    add_column(group, "group", rows.groups, dtype="string", fill="")
    add_column(group, "label", rows.labels, dtype="int64", fill=-1)
    _add_state(group, ["pending"] * len(rows), {"ledger": {}, "lost": {}})
    publish(layout.storage, files, ledger, last=ROOT)


def add_arrays(layout: Layout, spec: ArraySpec, ledger: LedgerFile) -> Layout:
    """Add a backbone's arrays, all of it pending; nothing that is there is touched."""
    files: dict[str, Buffer] = {}
    group = zarr.create_group(MemoryStore(files))
    for part in spec.parts:
        _add_array(group, layout, spec, part)
    scale_group = {"scale/zarr.json"} if "scale" in spec.parts else set[str]()
    own = {key: file for key, file in files.items() if f"/{spec.backbone}/" in key} | {
        key: files[key] for key in scale_group
    }
    publish(layout.storage, own, ledger, last=f"tokens/{spec.backbone}/zarr.json")
    return replace(layout, specs={**layout.specs, spec.backbone: spec})


def publish(place: Storage, files: Mapping[str, Buffer], ledger: LedgerFile, *, last: str) -> None:
    """Add files that zarr made, durably and vouched for; the last one makes the others count."""
    _write(place, files, ledger, last=last)
    ledger.append(Vouched(vouched={}, present=tuple(files)))


def _write(place: Storage, files: Mapping[str, Buffer], ledger: LedgerFile, *, last: str) -> None:
    content = {key: file.to_bytes() for key, file in files.items()}
    digests = {key: hashlib.sha256(text).hexdigest() for key, text in content.items()}
    ledger.append(Vouched(vouched=digests))
    for key in sorted(content, key=lambda key: key == last):
        place.publish(key, [content[key]])


def is_store(path: Path) -> bool:
    """Tell whether there is a store at an address."""
    try:
        storage.at(path).read(ROOT)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def read(
    place: Storage, sizes: Mapping[str, int], lines: Lines, *, for_repair: bool = False
) -> Layout:
    """Read what a store says that it is.

    Args:
        place: Where it is.
        sizes: Bytes of all of its files, by key.
        lines: Its ledger, which vouches for what is read.
        for_repair: Whether a damaged `state` is put up with, because it is derived, and files
            whose lines are lost, if they are such as this version writes.

    Raises:
        StoreError: There is no store, or one of another schema.
        CorruptStoreError: Its metadata or columns are damaged.
    """
    if ROOT not in sizes:
        raise StoreError(f"no feature store at {place.path}: {_instead(place.path)}")
    files = place.read_many(dict.fromkeys(filter(_is_ours, sorted(sizes)), 0))
    try:
        schema = json.loads(files[ROOT])["attributes"].get("schema")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(place.path, f"zarr.json: {error!r}") from error
    _refuse_other_schema(place.path, schema)
    is_vouched = schema > 1 and not for_repair
    if for_repair:
        files = {key: content for key, content in files.items() if not _is_state(key)}
        lines = replace(lines, present=frozenset(k for k in lines.present if not _is_state(k)))
    claimed = {k: text for k, text in files.items() if k in lines.vouched or _is_state(k)}
    check(place.path, files if is_vouched else claimed, lines, sizes)
    try:
        layout = _read(place, files)
        for spec in () if is_vouched else layout.specs.values():
            _check_arrays(files, layout, spec)
        return layout
    except StoreError:
        raise
    # zarr, its codecs and pydantic each have their own words for bytes that were altered.
    except Exception as error:
        raise _damaged(place.path, f"{type(error).__name__}: {error}") from error


def check(path: Path, files: Mapping[str, bytes], lines: Lines, sizes: Mapping[str, int]) -> None:
    """Compare small files with what the ledger vouches for.

    Raises:
        CorruptStoreError: One is missing, altered, or nothing that this store ever had.
    """
    missing = sorted(lines.present - set(sizes))
    if missing:
        raise _damaged(path, f"{', '.join(missing)} missing")
    for key, content in files.items():
        if key not in lines.vouched:
            raise _damaged(path, f"the ledger has no line on {key}")
        if hashlib.sha256(content).hexdigest() not in lines.vouched[key]:
            raise _damaged(path, f"{key} is not as it was written")


def vouch(place: Storage, ledger: LedgerFile) -> None:
    """Vouch again for files whose lines are lost; only after `read` for repair accepted them."""
    lines = JournalReader(place).lines(place.list(FOLDER))
    keys = [key for key in place.list() if _is_ours(key) and not _is_state(key)]
    files = place.read_many({key: 0 for key in keys if key not in lines.vouched})
    if files:
        digests = {key: hashlib.sha256(content).hexdigest() for key, content in files.items()}
        ledger.append(Vouched(vouched=digests, present=tuple(files)))


def confirm(place: Storage, ledger: LedgerFile) -> None:
    """Say of small files that they are there, where a writer was killed before it could."""
    lines = JournalReader(place).lines(place.list(FOLDER))
    there = lines.vouched.keys() & set(filter(_is_ours, place.list()))
    if unsaid := there - lines.present:
        ledger.append(Vouched(vouched={}, present=tuple(sorted(unsaid))))


def roll(place: Storage, sizes: Mapping[str, int]) -> Mapping[str, int]:
    """Give the lines that each file of the ledger had when `state` was last derived from it."""
    if f"{STATE}/{ROOT}" not in sizes:
        return {}
    return json.loads(place.read(f"{STATE}/{ROOT}"))["attributes"]["ledger"]


def publish_state(
    place: Storage, states: Sequence[str], attributes: Mapping[str, Any], ledger: LedgerFile
) -> None:
    """Write the state of every clip, for those who don't read the ledger; that takes one line."""
    files: dict[str, Buffer] = {}
    _add_state(zarr.create_group(MemoryStore(files)), states, attributes)
    own = {key: file for key, file in files.items() if key.startswith(f"{STATE}/")}
    _write(place, own, ledger, last=f"{STATE}/{ROOT}")


def state(place: Storage, sizes: Mapping[str, int]) -> tuple[list[str], Mapping[str, Any]] | None:
    """Read `state` and its attributes as they are; None if they were never written."""
    if f"{STATE}/{ROOT}" not in sizes:
        return None
    array = zarr.open_array(MemoryStore(small_files(place, sizes, f"{STATE}/")), mode="r")
    return list(map(str, np.asarray(array[:]))), array.attrs.asdict()


def small_files(place: Storage, sizes: Mapping[str, int], prefix: str) -> dict[str, Buffer]:
    """Read all files under a prefix, for zarr to open in memory.

    Raises:
        CorruptStoreError: One is not as it was written.
    """
    files = place.read_many({key: 0 for key in sizes if _is_whole(key, prefix)})
    # In this order: a writer first says what a file will be, then writes it, then says so.
    lines = JournalReader(place).lines(place.list(FOLDER))
    check(place.path, files, lines, place.list())
    return {key.removeprefix(prefix): _buffer(content) for key, content in files.items()}


def statistics(sizes: Mapping[str, int]) -> set[str]:
    """Name the files of the statistics: each of them has a line, or has lost it."""
    return {key for key in sizes if _is_whole(key, f"{STATISTICS}/")}


def _read(place: Storage, files: Mapping[str, bytes]) -> Layout:
    group = zarr.open_group(
        MemoryStore({key: _buffer(content) for key, content in files.items()}), mode="r"
    )
    header = TypeAdapter(StoreHeader).validate_python(group.attrs.asdict())
    ids, groups, labels = (_column(group, name) for name in COLUMNS[:3])
    rows = ClipRows(tuple(map(str, ids)), tuple(map(str, groups)), labels)
    specs = {
        key.split("/")[1]: TypeAdapter(ArraySpec).validate_python(
            json.loads(files[key])["attributes"]
        )
        for key in sorted(files)
        if key.startswith("tokens/") and key.count("/") == 2
    }
    if moved := [name for name, spec in specs.items() if spec.backbone != name]:
        raise _damaged(place.path, f"tokens/{moved[0]} is of {specs[moved[0]].backbone}")
    return Layout(place, header, rows, specs)


def _check_arrays(files: Mapping[str, bytes], layout: Layout, spec: ArraySpec) -> None:
    """Refuse arrays whose bytes would be read as something else than was written."""
    ours: dict[str, Buffer] = {}
    group = zarr.create_group(MemoryStore(ours))
    for part in spec.parts:
        _add_array(group, layout, spec, part)
        key = f"{part}/{spec.backbone}/{ROOT}"
        found, expected = json.loads(files[key]), json.loads(ours[key].to_bytes())
        # Attributes that others add are welcome; ours must be as they were.
        expected["attributes"] = found.get("attributes", {}) | expected["attributes"]
        differing = [name for name in expected if found.get(name) != expected[name]]
        if differing:
            raise _damaged(layout.path, f"{part}/{spec.backbone}: {', '.join(differing)} differ")


def _add_array(group: zarr.Group, layout: Layout, spec: ArraySpec, part: Part) -> zarr.Array[Any]:
    row, dtype = spec.row_shape(part), spec.stored_type(part)
    compressors: list[BytesBytesCodec] = [Crc32cCodec()]
    if layout.header.compression == "zstd":
        compressors.insert(0, ZstdCodec(level=codec.ZSTD_LEVEL, checksum=False))
    return group.create_array(
        f"{part}/{spec.backbone}",
        shape=(len(layout.rows), *row),
        chunks=(layout.header.clips_per_chunk, *row),
        dtype=dtype,
        serializer=BytesCodec(endian="little"),
        compressors=compressors,
        fill_value=encoding.fill_value(dtype),
        chunk_key_encoding=KEYS,
        dimension_names=AXES[part],
        attributes=asdict(spec),
    )


def _add_state(group: zarr.Group, states: Sequence[str], attributes: Mapping[str, Any]) -> None:
    column = add_column(group, STATE, states, dtype="string", fill="")
    column.attrs.update(attributes)


def add_column(
    group: zarr.Group, name: str, values: Iterable[object], *, dtype: str, fill: str | int
) -> zarr.Array[Any]:
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
    return array


def _header_attributes(header: StoreHeader) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        **asdict(header),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {name: version(name) for name in ("polyspace", "torch", "zarr")},
    }


def _is_whole(key: str, prefix: str) -> bool:
    """Tell whether a file under a prefix is more than what a killed writer has half-written."""
    return key.startswith(prefix) and not key.endswith(PARTIAL)


def _is_ours(key: str) -> bool:
    """Tell whether a file is part of the header, the columns or the arrays' metadata."""
    parts = key.split("/")
    # Beside them lie chunks, and what a writer that was killed has half-written.
    names = (ROOT, "c.0") if parts[0] in COLUMNS else (ROOT,)
    return key == ROOT or (parts[0] in (*COLUMNS, *AXES) and parts[-1] in names)


def _is_state(key: str) -> bool:
    return key.startswith(f"{STATE}/")


def _refuse_other_schema(path: Path, schema: object) -> None:
    """Refuse what this version does not know.

    Raises:
        StoreError: Another program's zarr group, or a store of a newer version.
    """
    if schema is None:
        raise StoreError(
            f"{path} is a zarr group, but no feature store: its attributes have no schema; make "
            f"a store with polyspace.data.featurize"
        )
    if schema not in READABLE:
        raise StoreError(
            f"{path} has store schema {schema}, this version of polyspace reads "
            f"{' and '.join(map(str, READABLE))}: use the version that wrote it, or extract the "
            f"store again"
        )


def _instead(path: Path) -> str:
    """Say what to do where there is no store."""
    if path.is_file():
        return "it is a file; give the folder that ends in .zarr, or polyspace store import it"
    return "make one with polyspace.data.featurize"


def _column(group: zarr.Group, name: str) -> Shaped[ndarray, " clip"]:
    array = group[name]
    if not isinstance(array, zarr.Array):
        raise TypeError(f"found {type(array).__name__}, expected an array")
    return np.asarray(array[:])


def _buffer(content: bytes) -> Buffer:
    return default_buffer_prototype().buffer.from_bytes(content)


def _damaged(path: Path, what: str) -> CorruptStoreError:
    return CorruptStoreError(
        f"the metadata of {path} is damaged ({what}): run polyspace store repair; if that says "
        f"the same, restore it from a copy"
    )

"""``polyspace store``: look at a feature store, check it, mend it, and carry it elsewhere."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from pydantic import Field
from tyro.conf import FlagCreatePairsOff, Positional, arg, subcommand

from polyspace import console
from polyspace.config import Config
from polyspace.errors import CorruptStoreError
from polyspace.precision import FeatureType
from polyspace.store import statistics
from polyspace.store.difference import compare
from polyspace.store.exporting import Format, export_features
from polyspace.store.gc import collect
from polyspace.store.importing import import_features
from polyspace.store.layout import Compression
from polyspace.store.reader import FeatureStore
from polyspace.store.repack import Packing, repack
from polyspace.store.repair import repair
from polyspace.store.verification import verify


class Info(Config):
    """Say what a store holds, and how much of it is there."""

    path: Positional[Path]
    """The store: a folder that ends in .zarr, or s3://BUCKET/FOLDER."""
    as_json: Annotated[bool, arg(name="json"), FlagCreatePairsOff] = False
    """Say it as one JSON object."""


class Verify(Config):
    """Read every byte of a store and compare it with what was written; exit 1 if any differs."""

    path: Positional[Path]
    """The store: a folder that ends in .zarr, or s3://BUCKET/FOLDER."""


class Repair(Config):
    """Take what is damaged for not done, so that the next extraction does exactly that again."""

    path: Positional[Path]
    """The store: a folder that ends in .zarr, or s3://BUCKET/FOLDER."""


class Gc(Config):
    """Delete what killed writers left: half files, dead leases, features that don't count."""

    path: Positional[Path]
    """The store: a folder that ends in .zarr, or s3://BUCKET/FOLDER."""


class Statistics(Config):
    """Measure mean and covariance of every backbone that lacks them, of a training split."""

    path: Positional[Path]
    """The store: a folder that ends in .zarr."""


class Repack(Config):
    """Write a finished store anew, in other chunks, compressed, or in another type."""

    path: Positional[Path]
    """The store, which is only read."""
    out: Path
    """The new store: a folder that ends in .zarr, or s3://BUCKET/FOLDER."""
    clips_per_chunk: Annotated[int | None, Field(ge=1)] = None
    """Clips of one file. None: as it is."""
    compression: Compression | None = None
    """zstd for archives; such a store can't be mapped. None: as it is."""
    storage: FeatureType | None = None
    """Type that features are stored in. None: as it is."""


class Import(Config):
    """Turn old features into a store: pickled shards, npy folders or npz; nothing is executed."""

    source: Positional[Path]
    """Folder of the shards and their index, or a single file."""
    out: Path = Path("features")
    """Folder for the store, <dataset>_<split>.zarr."""
    student: str | None = None
    """Name of the backbone whose features the shards call student. None: as they say."""
    dataset: str | None = None
    """Name of the data set. None: as the index says."""
    split: str | None = None
    """Name of the split. None: as the index says."""


class Export(Config):
    """Write a store's features into one file that others can read."""

    path: Positional[Path]
    """The store."""
    out: Path
    """The file."""
    format: Format = "parquet"
    """npz for numpy, safetensors for any tensor library, parquet for Hugging Face's datasets."""
    backbones: tuple[str, ...] = ()
    """Whose features; none named: all."""


class Diff(Config):
    """Say what two stores differ in, clip by clip; exit 1 if they do."""

    left: Positional[Path]
    """A store."""
    right: Positional[Path]
    """Another one."""


class Store(Config):
    """Look after a feature store."""

    command: Annotated[
        Annotated[Info, subcommand("info")]
        | Annotated[Verify, subcommand("verify")]
        | Annotated[Repair, subcommand("repair")]
        | Annotated[Gc, subcommand("gc")]
        | Annotated[Statistics, subcommand("statistics")]
        | Annotated[Repack, subcommand("repack")]
        | Annotated[Import, subcommand("import")]
        | Annotated[Export, subcommand("export")]
        | Annotated[Diff, subcommand("diff")],
        arg(name=""),
    ]


def run(store: Store) -> None:
    """Do what was asked of a store."""
    match store.command:
        case Info(path=path, as_json=as_json):
            _info(FeatureStore.open(path), as_json=as_json)
        case Verify(path=path):
            _verify(path)
        case Repair(path=path):
            console.say(str(console.show(repair(path), "repair")))
        case Gc(path=path):
            console.say(str(collect(path)))
        case Statistics(path=path):
            console.say(str(console.show(statistics.measure(path), "statistics")))
        case Repack() as asked:
            _repack(asked)
        case Import() as asked:
            _import(asked)
        case Export() as asked:
            _export(asked)
        case Diff(left=left, right=right):
            _diff(left, right)


def _info(store: FeatureStore, *, as_json: bool) -> None:
    if as_json:
        console.say(json.dumps(_facts(store), indent=2))
        return
    console.say(repr(store))
    for name, spec in store.backbones.items():
        size = store.size_bytes(name) / 2**20
        console.say(f"{name}: {size:.1f} MiB, {json.dumps(spec.provenance)}")
        console.say(f"  stored as {spec.dtype}: {store.lost(name)}")
    for clip, reason in store.coverage.quarantined.items():
        console.say(f"quarantined {clip}: {reason}")
    console.say(f"{store.clips_per_chunk} clips in a file, compression: {store.compression}")
    console.say(f"statistics of {', '.join(statistics.kept(store)) or 'no backbone'}")
    console.say(f"fingerprint: {store.fingerprint}")


def _facts(store: FeatureStore) -> dict[str, object]:
    """Give what `polyspace store info --json` prints."""
    backbones = {
        name: {
            **asdict(spec),
            "size_bytes": store.size_bytes(name),
            "lost": store.lost(name).model_dump(),
            "fingerprint": store.fingerprint_of(name),
        }
        for name, spec in store.backbones.items()
    }
    return {
        "path": str(store.path),
        "dataset": store.dataset,
        "split": store.split,
        "class_names": store.class_names,
        "coverage": asdict(store.coverage),
        "clips_per_chunk": store.clips_per_chunk,
        "compression": store.compression,
        "statistics": statistics.kept(store),
        "fingerprint": store.fingerprint,
        "backbones": backbones,
    }


def _verify(path: Path) -> None:
    try:
        verification = console.show(verify(path), "verify")
    except CorruptStoreError as error:
        console.say(str(error))
        sys.exit(1)
    for problem in verification.problems:
        for clip in problem.clips or ("no clip",):
            console.say(f"{clip}: {problem.what}")
    console.say(str(verification))
    if verification.problems:
        sys.exit(1)


def _repack(asked: Repack) -> None:
    packing = Packing(asked.clips_per_chunk, asked.compression, asked.storage)
    store = FeatureStore.open(console.show(repack(asked.path, asked.out, packing), "repack"))
    console.say(repr(store))


def _import(asked: Import) -> None:
    options = {"student": asked.student, "dataset": asked.dataset, "split": asked.split}
    path = console.show(import_features(asked.source, asked.out, **options), "import")
    store = FeatureStore.open(path)
    console.say(repr(store))
    for clip, reason in store.coverage.quarantined.items():
        console.say(f"quarantined {clip}: {reason}")


def _export(asked: Export) -> None:
    store = FeatureStore.open(asked.path)
    file = console.show(export_features(store, asked.out, asked.format, asked.backbones), "export")
    clips = len(store.rows(asked.backbones or tuple(store.backbones)))
    console.say(f"{file}: {clips} of {len(store.ids)} clips, {file.stat().st_size / 2**20:.1f} MiB")


def _diff(left: Path, right: Path) -> None:
    difference = compare(left, right)
    console.say(str(difference))
    if difference.lines:
        sys.exit(1)

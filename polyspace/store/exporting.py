"""Features for people elsewhere: one file, in a format that doesn't need polyspace to be read.

Each clip that all chosen backbones have seen leaves with its id, group, label and features, each
value in the type that it is stored in. Columns are called as in the store: ``tokens/<backbone>``
[clip view time space dim], ``summary/<backbone>`` [clip view dim] and ``time_seconds/<backbone>``
[clip view time 2]. What a format has no type for leaves as float32, which loses nothing.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import BinaryIO, Literal

from polyspace.errors import ConfigError, StoreError
from polyspace.files import sync_folder
from polyspace.progress import Progress
from polyspace.store.formats.selection import select
from polyspace.store.objects import SCHEME
from polyspace.store.reader import FeatureStore

Format = Literal["npz", "safetensors", "parquet"]
"""npz: numpy. safetensors: any tensor library. parquet: tables, and Hugging Face's datasets."""


def export_features(
    store: FeatureStore, out: Path, format: Format, backbones: tuple[str, ...] = ()
) -> Generator[Progress, None, Path]:
    """Write a store's features into one file, a batch at a time; return the file.

    Args:
        store: The store.
        out: The file; it appears whole or not at all.
        format: What kind of file.
        backbones: Whose features; none named: all.

    Raises:
        StoreError: There is such a file already; or the store lacks a backbone, or has no clip
            that all of them have seen.
        CorruptStoreError: Stored bytes are not those that were written.
        ConfigError: The format needs a package that isn't installed.
    """
    if out.parts[:1] == (SCHEME,):
        raise StoreError(f"{out} lies in an object store: give a file of this machine as --out")
    if out.exists():
        raise StoreError(f"{out} is there already: delete it, or give another --out")
    writer = _writer(format)
    selection = select(store, backbones, writer.TYPES)
    with _published(out) as file:
        yield from writer.write(file, selection)
    return out


def _writer(format: Format) -> ModuleType:
    """Import what writes a format.

    Raises:
        ConfigError: A package is missing.
    """
    try:
        return import_module(f"polyspace.store.formats.{format}")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{format} files are written by {error.name}, which isn't installed: "
            f"pip install polyspace[{format}], or export as npz"
        ) from error


@contextmanager
def _published(path: Path) -> Generator[BinaryIO]:
    """Give a file to write, durable and under its name when the block ends well, else gone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(path.parent)

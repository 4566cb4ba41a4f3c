"""What stages read, named by its content: one value for receipts and for MLflow's lineage."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from polyspace import files
from polyspace.data.clips import Clip, Manifest
from polyspace.data.datasets import registry
from polyspace.store.reader import FeatureStore


@dataclass(frozen=True)
class Source:
    """Something that a stage reads."""

    name: str
    """What it is to the stage: "train", "test", "converters" …"""
    path: Path
    digest: str
    """sha256 of what is in it, hexadecimal."""


def videos(dataset: str, root: Path, splits: Sequence[str]) -> tuple[Source, ...]:
    """Name a data set's splits by their clips and the size and age of their files.

    Videos are not read for it, which would take hours for a large data set. Where they look new
    but aren't, extraction finds nothing to do and the stages after it, which go by the content of
    the store, don't run.

    Args:
        dataset: Name of the data set.
        root: Its folder.
        splits: The ones to name; none: all official ones.
    """
    named = splits or registry.splits(dataset, root)
    manifests = (registry.read(dataset, root, name) for name in named)
    return tuple(Source(found.split, root, _manifest_digest(found)) for found in manifests)


def store(path: Path) -> Source:
    """Name a feature store by its content."""
    found = FeatureStore.open(path)
    return Source(found.split, path, found.fingerprint)


def checkpoint(path: Path, name: str) -> Source:
    """Name a file by its bytes."""
    return Source(name, path, files.sha256_file(path))


def _manifest_digest(manifest: Manifest) -> str:
    digest = hashlib.sha256(repr(manifest.class_names).encode())
    for clip in manifest.clips:
        digest.update(f"{_clip_words(manifest.root, clip)}\n".encode())
    return digest.hexdigest()


def _clip_words(root: Path, clip: Clip) -> str:
    try:
        stat = (root / clip.path).stat()
    except FileNotFoundError:
        return f"{clip} missing"
    return f"{clip} {stat.st_size} {stat.st_mtime_ns}"

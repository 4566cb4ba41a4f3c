"""Mean and covariance of a training split's tokens, measured once and kept with them.

They lie in the store as zarr arrays, and know which content they were measured on: with one clip
more they no longer count, and are measured anew.
"""

import hashlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import zarr
from jaxtyping import Float64
from torch import Tensor
from zarr.codecs import Crc32cCodec
from zarr.core.buffer import Buffer
from zarr.storage import MemoryStore

from polyspace.errors import CorruptStoreError, StoreError
from polyspace.models.moments import RunningMoments, outer
from polyspace.models.normalizers import Statistics
from polyspace.progress import Progress
from polyspace.store import metadata, storage
from polyspace.store.journal import LedgerFile, Vouched
from polyspace.store.lease import Leases
from polyspace.store.reader import FeatureStore
from polyspace.store.storage import Storage

FOLDER = metadata.STATISTICS
FILES = {"zarr.json", "mean/zarr.json", "mean/c.0", "covariance/zarr.json", "covariance/c.0.0"}

CLIPS_AT_A_TIME = 64


@dataclass(frozen=True)
class JointStatistics(Statistics):
    """How each dimension of the tokens varies, and how they vary together."""

    covariance: Float64[Tensor, "dim dim"]
    """Normalised by the count."""


@dataclass(frozen=True)
class Measured:
    """What was measured and kept."""

    path: Path
    tokens: Mapping[str, int]
    """By backbone, of how many tokens the new statistics are."""

    def __str__(self) -> str:
        """Say it in one line."""
        if not self.tokens:
            return f"{self.path}: the statistics of all backbones are there already"
        of = ", ".join(f"{name} ({count} tokens)" for name, count in self.tokens.items())
        return f"{self.path}: measured mean and covariance of {of}"


def measure(path: Path) -> Generator[Progress, None, Measured]:
    """Measure every backbone whose statistics are not in the store, and keep them there.

    Raises:
        StoreError: There is no store, it is no training split, or there is nothing to measure.
        CorruptStoreError: Stored bytes are not those that were written.
    """
    store, place = FeatureStore.open(path), storage.at(path)
    _refuse_other_splits(store)
    known, tokens = kept(store), dict[str, int]()
    leases, ledger = Leases(place), LedgerFile(place)
    try:
        for name in (name for name in store.backbones if name not in known):
            found = yield from _measure(store, name)
            with leases.hold(FOLDER):
                _keep(store, name, found, ledger)
            tokens[name] = found.count
    finally:
        leases.close()
        ledger.close()
    return Measured(path, tokens)


def kept(store: FeatureStore) -> tuple[str, ...]:
    """Name the backbones whose statistics `load` gives."""
    return tuple(name for name in store.backbones if _is_kept(store, name))


def load(store: FeatureStore, backbone: str) -> JointStatistics:
    """Give a backbone's statistics.

    Raises:
        StoreError: There are none, or they are of other clips than the store holds now.
        CorruptStoreError: They are not as they were written.
    """
    group = _open(store, backbone)
    mean, covariance = (_values(group, name) for name in ("mean", "covariance"))
    return _joint(mean, covariance, int(str(group.attrs["tokens"])))


def _measure(store: FeatureStore, backbone: str) -> Generator[Progress, None, JointStatistics]:
    """Take in all views of all finished clips, in the order in which they lie in their files."""
    rows, views = store.rows([backbone]), range(store.backbones[backbone].views)
    if not len(rows):
        raise StoreError(
            f"{store.path} has no clip of {backbone} yet to measure: finish the extraction first"
        )
    moments = RunningMoments(outer)
    for start in range(0, len(rows), CLIPS_AT_A_TIME):
        clips = rows[start : start + CLIPS_AT_A_TIME]
        for view in views:
            moments.add(store.tokens(backbone, clips, view=view))
        yield Progress(start + len(clips), len(rows), backbone)
    return _joint(moments.mean, moments.sums / moments.count, moments.count)


def _joint(
    mean: Float64[Tensor, " dim"], covariance: Float64[Tensor, "dim dim"], count: int
) -> JointStatistics:
    return JointStatistics(mean, covariance.diagonal().sqrt(), count, covariance)


def _keep(store: FeatureStore, backbone: str, found: JointStatistics, ledger: LedgerFile) -> None:
    """Write the arrays into the store; the group's attributes, which make them count, last."""
    files: dict[str, Buffer] = {}
    attributes = {
        "fingerprint": store.fingerprint_of(backbone),
        "split": store.split,
        "clips": len(store.rows([backbone])),
        "tokens": found.count,
    }
    folder = zarr.create_group(MemoryStore(files)).create_group(FOLDER)
    group = folder.create_group(backbone, attributes=attributes)
    _add(group, "mean", found.mean)
    _add(group, "covariance", found.covariance)
    own = {key: file.to_bytes() for key, file in files.items() if key.startswith(FOLDER)}
    _publish(storage.at(store.path), own, ledger, last=f"{FOLDER}/{backbone}/{metadata.ROOT}")


def _publish(place: Storage, files: Mapping[str, bytes], ledger: LedgerFile, *, last: str) -> None:
    """Write files that the ledger vouches for, but may miss: they can be measured again."""
    digests = {key: hashlib.sha256(content).hexdigest() for key, content in files.items()}
    ledger.append(Vouched(vouched=digests))
    for key in sorted(files, key=lambda key: key == last):
        place.publish(key, [files[key]])


def _add(group: zarr.Group, name: str, values: Float64[Tensor, "*shape"]) -> None:
    array = group.create_array(
        name,
        shape=tuple(values.shape),
        chunks=tuple(values.shape),
        dtype="float64",
        compressors=[Crc32cCodec()],
        fill_value=float("nan"),
        chunk_key_encoding=metadata.KEYS,
        dimension_names=("dim", "other_dim")[: values.ndim],
        config={"write_empty_chunks": True},
    )
    array[...] = values.numpy()


def _open(store: FeatureStore, backbone: str) -> zarr.Group:
    """Give the zarr group of a backbone's statistics, whole and up to date.

    Raises:
        StoreError: It is missing, or of other clips.
        CorruptStoreError: A file of it is altered.
    """
    fingerprint, place = store.fingerprint_of(backbone), storage.at(store.path)
    try:
        sizes = place.list()
        files = metadata.small_files(place, sizes, f"{FOLDER}/{backbone}/")
    except CorruptStoreError as error:
        raise CorruptStoreError(
            _refusal(store, backbone, "are not as they were written")
        ) from error
    if not files.keys() >= FILES or f"{FOLDER}/{metadata.ROOT}" not in sizes:
        raise StoreError(_refusal(store, backbone, "are missing"))
    group = zarr.open_group(MemoryStore(files), mode="r")
    if group.attrs["fingerprint"] != fingerprint:
        raise StoreError(_refusal(store, backbone, "are of other clips than it holds now"))
    return group


def _is_kept(store: FeatureStore, backbone: str) -> bool:
    try:
        _open(store, backbone)
    except StoreError:
        return False
    return True


def _values(group: zarr.Group, name: str) -> Float64[Tensor, "*shape"]:
    array = group[name]
    assert isinstance(array, zarr.Array), "its bytes were compared with what was written"
    return torch.from_numpy(np.array(array[...]))


def _refusal(store: FeatureStore, backbone: str, why: str) -> str:
    return (
        f"the statistics of {backbone} in {store.path} {why}: measure them with polyspace store "
        f"statistics {store.path}"
    )


def _refuse_other_splits(store: FeatureStore) -> None:
    """Refuse to measure what nothing may be fitted on.

    Raises:
        StoreError: The store is of another split than training.
    """
    if not store.split.startswith("train"):
        raise StoreError(
            f"statistics of the {store.split} split would leak into training: give the store of "
            f"a training split instead of {store.path}"
        )

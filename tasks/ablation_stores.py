"""The feature stores of an ablation: as they are, and in other types."""

import hashlib
from pathlib import Path

import torch

from polyspace import console
from polyspace.errors import ConfigError
from polyspace.precision import FeatureType
from polyspace.store.reader import FeatureStore, find_store
from polyspace.store.repack import Packing, repack
from polyspace.train import guard
from polyspace.train.ablation import AblationConfig, Stored
from polyspace.train.sources import StoredClips

CPU = torch.device("cpu")
DIGITS = 12
"""Of the digest of the source, in a folder's name."""


def stored(config: AblationConfig) -> Stored:
    """Say which variations the stores allow.

    Raises:
        StoreError: One is missing, lacks a backbone, or both are the same.
        DatasetError: Nothing can be learnt from scoring on them, see `guard.check`.
        ConfigError: The stores of float32 are of another type, of other clips or other weights.
    """
    backbones = (config.student, *config.teachers)
    splits = (config.train_split, config.split)
    train, test = (_store(config, config.features, split) for split in splits)
    for store in (train, test):
        store.rows(backbones)
        if config.features_float32 is not None:
            _refuse_others(store, _store(config, config.features_float32, store.split), backbones)
    guard.check(StoredClips(train, CPU), StoredClips(test, CPU), train.class_names, backbones)
    specs = [train.backbones[name] for name in backbones]
    return Stored(
        views=max(spec.views for spec in specs),
        types=tuple(dict.fromkeys(spec.dtype for spec in specs)),
        exact=config.features_float32 is not None,
    )


def fingerprints(config: AblationConfig) -> tuple[str, ...]:
    """Name both splits' stores by their content."""
    splits = (config.train_split, config.split)
    return tuple(_store(config, config.features, split).fingerprint for split in splits)


def features(config: AblationConfig, dtype: FeatureType | None) -> Path:
    """Give the folder of both splits' features in a type, made if it isn't there.

    Raises:
        StoreError: A store can't be had in another type.
    """
    if dtype is None:
        return config.features
    if config.features_float32 is not None and dtype == "float32":
        return config.features_float32
    source = config.features_float32 or config.features
    stores = [_store(config, source, split) for split in (config.train_split, config.split)]
    named = hashlib.sha256(" ".join(store.fingerprint for store in stores).encode()).hexdigest()
    # The source stands in the name: what is there was made of these very features.
    folder = config.out / "stores" / f"{dtype}-{named[:DIGITS]}"
    for store in stores:
        work = repack(store.path, folder / store.path.name, Packing(storage=dtype))
        console.show(work, f"store as {dtype}")
    return folder


def _store(config: AblationConfig, folder: Path, split: str) -> FeatureStore:
    return FeatureStore.open(find_store(folder, config.dataset, split))


def _refuse_others(mine: FeatureStore, exact: FeatureStore, backbones: tuple[str, ...]) -> None:
    """Refuse a store of float32 that is not of the same clips and weights."""
    exact.rows(backbones)
    for name in backbones:
        if exact.backbones[name].dtype != "float32":
            raise ConfigError(
                f"--features-float32: {exact.path} holds {name} as {exact.backbones[name].dtype}, "
                f"not as float32: extract with --storage float32, or leave the option out"
            )
        one, other = (store.backbones[name].provenance["weights"] for store in (mine, exact))
        if one["fingerprint"] != other["fingerprint"]:
            raise ConfigError(
                f"--features-float32: {exact.path} holds {name} of other weights "
                f"({other['source']}) than {mine.path} ({one['source']}): extract with the same"
            )
        if mine.backbones[name].views != exact.backbones[name].views:
            raise ConfigError(
                f"--features-float32: {exact.path} holds {exact.backbones[name].views} views of "
                f"{name}, not {mine.backbones[name].views}: extract with the same --views"
            )
    if mine.ids != exact.ids:
        raise ConfigError(
            f"--features-float32: {exact.path} holds other clips than {mine.path}: extract the "
            f"same split"
        )

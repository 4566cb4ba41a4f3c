"""How long it takes to open a store and to have a shuffled batch of it.

pytest tests/benchmarks/test_store_opening.py --real -o addopts=--import-mode=importlib
"""

import os
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from polyspace.store.block import Block
from polyspace.store.layout import ArraySpec, ClipRows, StoreHeader
from polyspace.store.reader import FeatureStore
from polyspace.store.writer import StoreWriter


@dataclass(frozen=True)
class Size:
    clips: int
    clips_per_chunk: int
    batch: int
    dim: int


TINY = Size(clips=24, clips_per_chunk=8, batch=6, dim=8)
REAL = Size(clips=13_320, clips_per_chunk=256, batch=256, dim=768)
BACKBONES = ("vjepa2", "videomae", "timesformer", "vivit")


@pytest.fixture(scope="module")
def size(request):
    return REAL if request.config.getoption("--real", default=False) else TINY


@pytest.fixture(scope="module")
def path(size, tmp_path_factory):
    """A store of four backbones, all of whose work items hold the same features."""
    path = tmp_path_factory.mktemp("store") / "made_train.zarr"
    names = tuple(f"v_{row:06d}" for row in range(size.clips))
    rows = ClipRows(names, names, np.zeros(size.clips, dtype=np.int64))
    header = StoreHeader("made", "train", ("one",), size.clips_per_chunk, {})
    specs = [ArraySpec(name, time=4, space=4, dim=size.dim) for name in BACKBONES]
    tokens = torch.randn(size.clips_per_chunk, 1, 4, 4, size.dim)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        with StoreWriter.open(path, header, rows, specs) as writer:
            for item in writer.claims():
                part = tokens[: len(item)]
                block = Block(part, part.mean((2, 3)), np.zeros((len(item), 1, 4, 2)))
                writer.write(item, dict.fromkeys(BACKBONES, block), {})
    return path


def test_opening_to_the_first_batch(benchmark, path, size, tmp_path_factory, monkeypatch):
    # Files that were checked once are not checked again, in whatever process.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    rows = np.random.default_rng(0).permutation(size.clips)[: size.batch]
    found = benchmark(lambda: FeatureStore.open(path).stored("vjepa2", rows))
    assert found.shape == (size.batch, 4, 4, size.dim)

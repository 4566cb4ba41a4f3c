"""How fast shuffled batches come out of a store, beside what else could read them.

Measure without the shape checks, which cost more than the reading:
pytest tests/benchmarks/test_store_reading.py --real -o addopts=--import-mode=importlib
"""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
import zarr

from polyspace.store.layout import ArraySpec, ClipRows, StoreHeader
from polyspace.store.reader import FeatureStore
from polyspace.store.writer import Block, StoreWriter


@dataclass(frozen=True)
class Size:
    clips: int
    clips_per_chunk: int
    batch: int
    dim: int


TINY = Size(clips=24, clips_per_chunk=8, batch=6, dim=8)
REAL = Size(clips=4096, clips_per_chunk=256, batch=256, dim=768)


@pytest.fixture(scope="module")
def size(request):
    return REAL if request.config.getoption("--real", default=False) else TINY


@pytest.fixture(scope="module")
def path(size, tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "made_train.zarr"
    names = tuple(map(str, range(size.clips)))
    rows = ClipRows(names, names, np.zeros(size.clips, dtype=np.int64))
    header = StoreHeader("made", "train", ("one",), size.clips_per_chunk, {})
    spec = ArraySpec("student", time=8, space=4, dim=size.dim)
    with StoreWriter.open(path, header, rows, [spec]) as writer:
        for item in writer.pending():
            writer.write(item, {"student": _block(len(item), spec, item.index)}, {})
    return path


@pytest.fixture
def batches(size):
    order = np.random.default_rng(0).permutation(size.clips)
    return np.split(order, range(size.batch, size.clips, size.batch))


def test_store_tokens(benchmark, path, batches):
    store = FeatureStore.open(path)
    found = benchmark(lambda: [store.tokens("student", rows) for rows in batches][-1])
    assert found.dtype == torch.float32
    assert torch.equal(found, _expected(path, batches[-1]))


def test_memmap_fancy_indexing(benchmark, path, batches, tmp_path):
    np.save(tmp_path / "tokens.npy", _whole(path))
    tokens = np.load(tmp_path / "tokens.npy", mmap_mode="r")
    found = benchmark(lambda: [torch.from_numpy(tokens[rows]).float() for rows in batches][-1])
    assert torch.equal(found, _expected(path, batches[-1]))


def test_zarr_indexing(benchmark, path, batches):
    tokens = zarr.open_array(path / "tokens" / "student", mode="r")

    def read(rows):
        return torch.from_numpy(np.asarray(tokens.oindex[rows])[:, 0]).float()

    found = benchmark(lambda: [read(rows) for rows in batches][-1])
    assert torch.equal(found, _expected(path, batches[-1]))


def test_opening_to_the_first_batch(benchmark, path, batches):
    found = benchmark(lambda: FeatureStore.open(path).tokens("student", batches[0]))
    assert torch.equal(found, _expected(path, batches[0]))


def _block(count, spec, seed):
    draw = torch.Generator().manual_seed(seed)
    return Block(
        tokens=torch.randn(count, *spec.row_shape("tokens"), generator=draw),
        summary=torch.randn(count, *spec.row_shape("summary"), generator=draw),
        seconds=np.zeros((count, *spec.row_shape("time_seconds"))),
    )


def _whole(path):
    return np.asarray(zarr.open_array(path / "tokens" / "student", mode="r")[:, 0])


def _expected(path, rows):
    return torch.from_numpy(_whole(path)[rows]).float()

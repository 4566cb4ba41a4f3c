from dataclasses import replace

import numpy as np
import pytest
import torch
import zarr

from polyspace.errors import CorruptStoreError, StoreError
from polyspace.store.reader import FeatureStore
from polyspace.store.repack import Packing, repack
from polyspace.store.verification import verify
from tests.support.stages import finish

TYPES = ["bfloat16", "float32", "scaled", "int8"]


@pytest.fixture
def whole(sample, path):
    """A store with a quarantined clip."""
    return replace(sample, quarantined={sample.rows.ids[3]: "damaged"}).write(path)


@pytest.mark.parametrize("packing", [Packing(3), Packing(64), Packing(compression="zstd")])
def test_the_same_type_has_the_same_fingerprint(whole, tmp_path, packing):
    packed = finish(repack(whole, tmp_path / "packed.zarr", packing))
    old, new = FeatureStore.open(whole), FeatureStore.open(packed)
    assert new.fingerprint == old.fingerprint
    assert new.coverage == old.coverage
    assert new.lost("student") == old.lost("student")
    assert not finish(verify(packed)).problems
    rows = old.rows(["student", "teacher"])
    for name in old.backbones:
        assert torch.equal(new.tokens(name, rows), old.tokens(name, rows))


@pytest.mark.parametrize("dtype", TYPES)
def test_another_type_holds_the_same_as_far_as_it_can(whole, tmp_path, dtype):
    packed = finish(repack(whole, tmp_path / "packed.zarr", Packing(storage=dtype)))
    old, new = FeatureStore.open(whole), FeatureStore.open(packed)
    rows = old.rows(["student", "teacher"])
    for name in old.backbones:
        before, after = old.tokens(name, rows), new.tokens(name, rows)
        exact = dtype in ("float32", "scaled")
        assert torch.allclose(after, before, rtol=0 if exact else 1e-2, atol=0 if exact else 0.2)
        assert torch.allclose(new.summary(name, rows), old.summary(name, rows), rtol=1e-2)
        assert new.backbones[name].dtype == dtype


@pytest.mark.parametrize("dtype", TYPES)
def test_and_again_in_the_same_type_changes_no_byte(whole, tmp_path, dtype):
    once = finish(repack(whole, tmp_path / "once.zarr", Packing(storage=dtype)))
    twice = finish(repack(once, tmp_path / "twice.zarr", Packing(clips_per_chunk=2)))
    assert FeatureStore.open(twice).fingerprint == FeatureStore.open(once).fingerprint


def test_any_zarr_client_reads_a_compressed_store(whole, tmp_path):
    packed = finish(repack(whole, tmp_path / "packed.zarr", Packing(compression="zstd")))
    store = FeatureStore.open(packed)
    rows = store.rows(["student"])
    theirs = zarr.open_array(packed / "tokens" / "student", mode="r")[:]
    assert np.array_equal(np.asarray(theirs)[rows, 0], store.stored("student", rows).numpy())


def test_an_unfinished_store_is_refused(sample, path, tmp_path):
    sample.write(path, items=1)
    with pytest.raises(StoreError, match="6 clips that are not done"):
        finish(repack(path, tmp_path / "packed.zarr", Packing()))
    assert not (tmp_path / "packed.zarr").exists()


def test_damage_is_not_carried_over(store, tmp_path):
    file = store / "tokens" / "student" / "c.1.0.0.0.0"
    content = bytearray(file.read_bytes())
    content[5] ^= 4
    file.write_bytes(content)
    with pytest.raises(CorruptStoreError, match="altered"):
        finish(repack(store, tmp_path / "packed.zarr", Packing()))


def test_what_was_stopped_goes_on(whole, tmp_path):
    stage = repack(whole, tmp_path / "packed.zarr", Packing(clips_per_chunk=2))
    next(stage)
    stage.close()
    packed = finish(repack(whole, tmp_path / "packed.zarr", Packing(clips_per_chunk=2)))
    assert FeatureStore.open(packed).fingerprint == FeatureStore.open(whole).fingerprint

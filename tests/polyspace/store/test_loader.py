import json

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from polyspace.errors import ConfigError, StoreError
from polyspace.store import chunks
from polyspace.store.loader import FeatureBatch, FeatureLoader
from polyspace.store.reader import FeatureStore


@pytest.fixture
def opened(store):
    return FeatureStore.open(store)


@pytest.fixture
def zipped(make_sample, tmp_path):
    return make_sample(clips=30, clips_per_chunk=3, compression="zstd").write(tmp_path / "z.zarr")


def rows_of(batches):
    return [row for batch in batches for row in batch.rows.tolist()]


def test_batches_hold_what_the_store_holds(opened):
    loader = FeatureLoader(opened, ["student", "teacher"], batch=4)
    for batch in loader:
        for name, tokens in batch.tokens.items():
            assert torch.equal(tokens, opened.tokens(name, batch.rows))
        assert batch.labels.tolist() == opened.labels[batch.rows].tolist()


def test_its_length_is_the_batches_of_an_epoch(opened):
    loader = FeatureLoader(opened, ["student"], batch=4)
    assert len(loader) == len(list(loader)) == 3


def test_each_iteration_is_the_next_epoch(opened):
    loader = FeatureLoader(opened, ["student"], batch=4)
    first, second = rows_of(loader), rows_of(loader)
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert rows_of(FeatureLoader(opened, ["student"], batch=4)) == first


def test_another_loader_goes_on_at_the_very_next_batch(opened):
    stopped = FeatureLoader(opened, ["student"], batch=3)
    list(stopped)
    rest = iter(stopped)
    next(rest)
    state = stopped.state_dict()
    resumed = FeatureLoader(opened, ["student"], batch=3)
    resumed.load_state_dict(state)
    assert rows_of(resumed) == rows_of(rest)
    assert rows_of(resumed) == rows_of(stopped)


def test_a_state_is_json_and_knows_the_end_of_an_epoch(opened):
    loader = FeatureLoader(opened, ["student"], batch=5)
    epoch = iter(loader)
    next(epoch)
    next(epoch)
    resumed = FeatureLoader(opened, ["student"], batch=5)
    resumed.load_state_dict(json.loads(json.dumps(loader.state_dict())))
    assert rows_of(resumed) == []
    rest = rows_of(epoch)
    assert rest == []
    assert rows_of(resumed) == rows_of(loader)


def test_setting_an_epoch_goes_there_and_never_back_inside_of_it(opened):
    loader, third = (FeatureLoader(opened, ["student"], batch=4) for _ in range(2))
    whole = [rows_of(loader) for _ in range(3)]
    third.set_epoch(2)
    first = next(iter(third)).rows.tolist()
    third.set_epoch(2)
    assert first + rows_of(third) == whole[2]
    third.set_epoch(0)
    assert rows_of(third) == whole[0]


def test_a_state_of_other_rows_is_refused(opened):
    even, odd = (
        FeatureLoader(opened, ["student"], batch=2, rows=np.arange(first, 10, 2))
        for first in range(2)
    )
    with pytest.raises(ConfigError, match="stopped with rows"):
        odd.load_state_dict(even.state_dict())


def test_a_state_is_refused_where_the_same_clips_come_in_another_order(
    opened, make_sample, tmp_path
):
    packed = FeatureStore.open(make_sample(compression="zstd").write(tmp_path / "packed.zarr"))
    assert packed.fingerprint == opened.fingerprint
    state = FeatureLoader(opened, ["student"], batch=2).state_dict()
    with pytest.raises(ConfigError, match="stopped with window None, this one has window"):
        FeatureLoader(packed, ["student"], batch=2).load_state_dict(state)


def test_a_state_of_other_settings_is_refused(opened):
    state = FeatureLoader(opened, ["student"], batch=3).state_dict()
    with pytest.raises(ConfigError, match="open the same store with the same settings"):
        FeatureLoader(opened, ["student"], batch=4).load_state_dict(state)


def test_ranks_share_every_epoch(opened):
    loaders = [FeatureLoader(opened, ["student"], batch=2, rank=r, ranks=3) for r in range(3)]
    assert len({len(loader) for loader in loaders}) == 1
    assert sorted(row for loader in loaders for row in rows_of(loader)) == list(range(10))


def test_it_prints_shapes_rather_than_values(opened):
    batch = next(iter(FeatureLoader(opened, ["student"], batch=4)))
    assert repr(batch) == "FeatureBatch(4 clips: student [4, 2, 3, 4] float32; 0.0 MiB)"


def test_buffers_are_used_again(opened):
    loader = FeatureLoader(opened, ["teacher"], batch=2)
    places = {batch.tokens["teacher"].data_ptr() for batch in loader}
    assert len(places) == 1


def test_a_compressed_store_is_shuffled_inside_windows(zipped):
    store = FeatureStore.open(zipped)
    assert not store.mapped
    loader = FeatureLoader(store, ["student"], batch=4)
    batches = [(b.rows, b.tokens["student"].clone()) for b in loader]
    assert sorted(row for rows, _ in batches for row in rows) == list(range(30))
    assert all(torch.equal(tokens, store.tokens("student", rows)) for rows, tokens in batches)


def test_an_empty_selection_has_no_batches(opened):
    none = np.array([], dtype=np.int64)
    assert list(FeatureLoader(opened, ["student"], batch=4, rows=none)) == []


def test_a_backbone_that_is_not_there_is_refused(opened):
    with pytest.raises(StoreError, match="not vivit"):
        FeatureLoader(opened, ["vivit"], batch=4)


@pytest.mark.parametrize("share", [{}, {"rank": 1, "ranks": 2}])
@pytest.mark.parametrize("kept_chunks", [2, 5])
def test_each_chunk_is_read_once_an_epoch_however_few_are_kept(
    zipped, monkeypatch, kept_chunks, share
):
    load, read = chunks.load, []
    monkeypatch.setattr(chunks, "load", lambda *which: read.append(which[1].key) or load(*which))
    monkeypatch.setattr("polyspace.store.fetched.KEPT_BYTES", kept_chunks * 3 * 2 * 3 * 4 * 2)
    loader = FeatureLoader(FeatureStore.open(zipped), ["student"], batch=2, **share)
    for _ in range(3):
        read.clear()
        touched = {row // 3 for row in rows_of(loader)}
        # Fewer where the epoch begins in chunks that the last one ended in.
        assert len(touched) - kept_chunks <= len(read) <= len(touched)
        assert len(read) == len(set(read))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_batches_on_a_gpu_outlive_the_buffers(opened):
    names = ["student", "teacher"]
    for batch in [*FeatureLoader(opened, names, batch=2, device=torch.device("cuda"))]:
        assert batch.labels.is_cuda
        assert batch.labels.tolist() == opened.labels[batch.rows].tolist()
        assert all(batch.tokens[name].is_cuda for name in names)
        assert all(torch.equal(batch.tokens[n].cpu(), opened.tokens(n, batch.rows)) for n in names)


@pytest.mark.parametrize("workers", [0, 2])
def test_torchs_data_loader_gives_every_clip_once_an_epoch(opened, workers):
    names = ["student", "teacher"]
    given = DataLoader(
        FeatureLoader(opened, names, batch=2),
        batch_size=None,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
        persistent_workers=workers > 0,
    )
    first, second = rows_of(given), [*given] if workers else [*map(_copied, given)]
    assert sorted(first) == sorted(rows_of(second)) == list(range(10))
    assert first != rows_of(second)
    for batch in second:
        assert all(torch.equal(batch.tokens[n], opened.tokens(n, batch.rows)) for n in names)


def _copied(batch):
    tokens = {name: values.clone() for name, values in batch.tokens.items()}
    return FeatureBatch(batch.rows, batch.labels, tokens)

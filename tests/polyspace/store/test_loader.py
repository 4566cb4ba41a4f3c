import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from polyspace.errors import ConfigError, StoreError
from polyspace.store.loader import FeatureLoader
from polyspace.store.reader import FeatureStore


@pytest.fixture
def opened(store):
    return FeatureStore.open(store)


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
    assert repr(batch) == "FeatureBatch(4 clips: student [4, 2, 3, 4] float32)"


def test_buffers_are_used_again(opened):
    loader = FeatureLoader(opened, ["teacher"], batch=2)
    places = {batch.tokens["teacher"].data_ptr() for batch in loader}
    assert len(places) == 1


def test_a_compressed_store_is_shuffled_inside_windows(make_sample, tmp_path):
    zipped = make_sample(clips=30, clips_per_chunk=3, compression="zstd").write(tmp_path / "z.zarr")
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


@pytest.mark.parametrize("workers", [0, 2])
def test_torchs_data_loader_gives_every_clip_once(opened, workers):
    context = "spawn" if workers else None
    loader = FeatureLoader(opened, ["student"], batch=2)
    given = DataLoader(
        loader, batch_size=None, num_workers=workers, multiprocessing_context=context
    )
    assert sorted(rows_of(given)) == list(range(10))

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as some

from polyspace.errors import ConfigError
from polyspace.seeding import generator
from polyspace.store.order import Order, Window

WINDOWS = some.none() | some.builds(Window, some.integers(1, 9), some.integers(1, 4))
RANKS = some.integers(1, 5)


def orders(ranks=RANKS, window=WINDOWS):
    @some.composite
    def draw(pick):
        together = pick(ranks)
        rows = np.flatnonzero(np.array(pick(some.lists(some.booleans(), max_size=80)), dtype=bool))
        settings = {
            "batch": pick(some.integers(1, 9)),
            "seed": pick(some.none() | some.integers(0, 99)),
            "ranks": together,
            "window": pick(window),
        }
        if 0 < len(rows) < together:
            rows = rows[:0]
        return [Order(rows, rank=rank, **settings) for rank in range(together)]

    return draw()


@given(orders(), some.integers(0, 3))
def test_over_all_ranks_every_row_comes_once_an_epoch(ranks, epoch):
    seen = [row for order in ranks for batch in order.batches(epoch) for row in batch.tolist()]
    assert sorted(seen) == ranks[0].rows.tolist()


@given(orders())
def test_every_rank_gets_as_many_batches_and_none_is_empty(ranks):
    batches = [list(order.batches(0)) for order in ranks]
    assert {len(own) for own in batches} == {len(ranks[0])}
    sizes = {len(batch) for own in batches for batch in own}
    assert not sizes or min(sizes) >= 1
    assert not sizes or max(sizes) <= ranks[0].batch + 1


@given(orders(), some.integers(0, 3), some.data())
def test_an_epoch_goes_on_at_any_batch(ranks, epoch, data):
    order = ranks[-1]
    whole = list(order.batches(epoch))
    start = data.draw(some.integers(0, len(whole)))
    rest = list(order.batches(epoch, start=start))
    assert [batch.tolist() for batch in rest] == [batch.tolist() for batch in whole[start:]]


@given(orders(ranks=some.just(1), window=some.just(None)))
def test_one_rank_gets_full_batches_but_for_the_last(ranks):
    (order,) = ranks
    assert all(len(batch) == order.batch for batch in list(order.batches(0))[:-1])


def test_epochs_and_seeds_differ_and_the_same_ones_do_not():
    def first(seed, epoch):
        return Order(np.arange(100), 100, seed).batches(epoch)

    drawn = [next(first(*which)).tolist() for which in ((0, 0), (0, 1), (1, 0))]
    assert len(set(map(tuple, drawn))) == 3
    assert next(first(0, 1)).tolist() == drawn[1]


def test_without_a_seed_rows_come_as_they_are():
    rows = np.array([5, 3, 9])
    assert [batch.tolist() for batch in Order(rows, 2).batches(7)] == [[5, 3], [9]]


def test_an_exact_shuffle_is_torchs_permutation_of_seed_and_epoch():
    rows = np.arange(5, 25)
    drawn = torch.randperm(20, generator=generator(3, "shuffle", 2)).numpy()
    assert np.concatenate(list(Order(rows, 6, 3).batches(2))).tolist() == rows[drawn].tolist()


@given(some.integers(1, 90), some.builds(Window, some.integers(1, 7), some.integers(1, 4)))
def test_windows_follow_each_other_and_each_chunk_is_in_one(clips, window):
    (drawn,) = Order(np.arange(clips), clips, 0, window=window).batches(0)
    chunks = list(dict.fromkeys((drawn // window.clips_per_chunk).tolist()))
    windows = [chunks[at : at + window.chunks] for at in range(0, len(chunks), window.chunks)]
    inside = [np.isin(drawn // window.clips_per_chunk, some).nonzero()[0] for some in windows]
    assert np.concatenate(inside).tolist() == list(range(clips))


def test_rows_are_shuffled_inside_of_a_window_too():
    (drawn,) = Order(np.arange(100), 100, 0, window=Window(10, 5)).batches(0)
    assert np.abs(np.diff(drawn // 10)).astype(bool).sum() > 50


@given(orders(window=some.builds(Window, some.integers(1, 9), some.integers(1, 4))), some.data())
def test_with_two_windows_kept_each_chunk_is_fetched_once(ranks, data):
    order = ranks[-1]
    window, start = order.window, data.draw(some.integers(0, len(order)))
    batches = list(order.batches(0, start=start))
    touched = [set((rows // window.clips_per_chunk).tolist()) for rows in batches]
    assume(all(len(own) <= 2 * window.chunks for own in touched))
    fetched = []
    for own, plan in zip(touched, window.plan(batches), strict=True):
        kept, fresh = ((rows // window.clips_per_chunk).tolist() for rows in plan)
        assert own <= {*kept, *fresh}
        assert set(kept) <= set(fetched)
        assert len(kept) + len(fresh) <= 2 * window.chunks
        fetched += fresh
    assert sorted(fetched) == sorted(set().union(*touched))


def test_chunks_of_the_next_window_are_fetched_before_its_first_batch():
    window = Window(4, 2)
    batches = list(Order(np.arange(32), 2, 0, window=window).batches(0))
    _, fresh = next(window.plan(batches))
    assert {row // 4 for row in fresh.tolist()} == set((np.concatenate(batches[:8]) // 4).tolist())


@pytest.mark.parametrize(("rank", "ranks", "batch"), [(2, 2, 4), (-1, 1, 4), (0, 1, 0)])
def test_ranks_and_batches_that_cannot_be_are_refused(rank, ranks, batch):
    with pytest.raises(ConfigError, match="expected 1 or more, and a rank from 0"):
        Order(np.arange(8), batch, 0, rank, ranks)


def test_fewer_clips_than_ranks_are_refused():
    with pytest.raises(ConfigError, match="2 clips for 3 ranks"):
        Order(np.arange(2), 4, 0, 0, 3)

import numpy as np
import pytest

from polyspace.errors import PolySpaceError
from polyspace.train.batches import divide, in_order, shuffled
from polyspace.train.sources import StoredClips
from tests.support.stores import make_store

ROWS = np.arange(3, 20)


def epoch(number, *, seed=0, rows=ROWS):
    return np.concatenate(list(shuffled(rows, 4, seed=seed, epoch=number))).tolist()


def test_rows_are_cut_in_their_order_and_the_last_batch_may_be_smaller():
    assert [part.tolist() for part in in_order(np.arange(5), 2)] == [[0, 1], [2, 3], [4]]
    assert list(in_order(np.arange(0), 2)) == []


def test_an_epoch_has_every_row_once():
    assert sorted(epoch(1)) == ROWS.tolist()
    assert [len(part) for part in shuffled(ROWS, 4, seed=0, epoch=1)] == [4, 4, 4, 4, 1]


def test_silent_error_12_every_epoch_has_an_order_of_its_own():
    orders = [epoch(number) for number in range(1, 6)]
    assert all(orders[a] != orders[b] for a in range(5) for b in range(a))
    assert ROWS.tolist() not in orders


def test_an_order_depends_on_seed_and_epoch_alone():
    assert epoch(2, seed=7) == epoch(2, seed=7)
    assert epoch(2, seed=7) != epoch(2, seed=8)


def test_no_group_is_on_both_sides(train):
    rows = train.rows(("stu",))
    division = divide(train, rows, share=0.2, seed=0)
    fit, held = ({train.groups[row] for row in part} for part in (division.fit, division.held))
    assert fit
    assert held
    assert not fit & held
    assert sorted([*division.fit, *division.held]) == rows.tolist()


def test_every_class_is_on_both_sides(train):
    division = divide(train, train.rows(("stu",)), share=0.2, seed=0)
    assert set(train.labels[division.fit]) == set(train.labels[division.held]) == {0, 1, 2}


def test_a_division_is_drawn_from_the_seed(train):
    rows = train.rows(("stu",))
    held = [divide(train, rows, share=0.2, seed=seed).held.tolist() for seed in (0, 0, 1)]
    assert held[0] == held[1] != held[2]


def test_a_clip_that_was_quarantined_is_on_neither_side_and_moves_no_other(tmp_path, train):
    clips = StoredClips.find(
        make_store(tmp_path, "train", clips=72, groups=18, quarantined=5),
        dataset="toy",
        split="train",
        device=train.device,
    )
    rows = clips.rows(("stu",))
    assert rows.tolist() == list(range(67))
    some, every = (
        divide(c, r, share=0.2, seed=0) for c, r in ((clips, rows), (train, _all(train)))
    )
    assert some.held.tolist() == [row for row in every.held if row < 67]


def test_clips_of_which_none_can_be_held_back_are_refused(tmp_path, train):
    path = make_store(tmp_path, "train", clips=9, groups=3)
    clips = StoredClips.find(path, dataset="toy", split="train", device=train.device)
    with pytest.raises(PolySpaceError, match="group"):
        divide(clips, clips.rows(("stu",)), share=0.2, seed=0)


def _all(clips):
    return clips.rows(("stu",))

import pytest
import torch

from polyspace.engine.selection import Best


def offer(best, *score, epoch):
    return best.offer(*score, epoch=epoch, state={"weight": torch.tensor([float(epoch)])})


def test_the_highest_score_stays():
    best = Best()
    assert [offer(best, score, epoch=k) for k, score in enumerate([0.2, 0.5, 0.4])] == [
        True,
        True,
        False,
    ]
    assert (best.score, best.epoch) == ((0.5,), 1)
    assert torch.equal(best.state["weight"], torch.tensor([1.0]))


def test_of_equal_scores_the_first_stays():
    best = Best()
    offer(best, 0.5, epoch=0)
    assert not offer(best, 0.5, epoch=1)


def test_later_parts_of_a_score_break_ties_only():
    best = Best()
    offer(best, 0.5, -1.0, epoch=0)
    assert offer(best, 0.5, -0.5, epoch=1)
    assert not offer(best, 0.4, 9.0, epoch=2)


def test_the_kept_state_is_a_copy():
    weight = torch.zeros(2)
    best = Best()
    best.offer(1.0, epoch=0, state={"weight": weight})
    weight += 1
    assert torch.equal(best.state["weight"], torch.zeros(2))


@pytest.mark.parametrize("first", [(float("nan"),), (0.5, float("nan"))])
def test_a_score_that_is_not_a_number_is_beaten_by_any_number(first):
    best = Best()
    offer(best, *first, epoch=0)
    assert offer(best, *(0.5 for _ in first), epoch=1)
    assert not offer(best, *first, epoch=2)


def test_even_the_lowest_score_is_taken_where_there_is_no_other():
    assert offer(Best(), float("-inf"), epoch=0)

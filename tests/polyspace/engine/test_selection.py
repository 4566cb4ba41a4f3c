import pytest
import torch

from polyspace.engine import checkpoint
from polyspace.engine.selection import Best, prune, until_stale, worth_keeping


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


def test_it_is_stale_after_as_many_epochs_that_were_not_better():
    best = Best()
    for epoch, score in enumerate([0.2, 0.5, 0.5, 0.4]):
        assert not best.stale(2)
        offer(best, score, epoch=epoch)
    assert best.stale(2)
    assert not best.stale(3)
    assert not best.stale(None)


def test_it_goes_on_where_another_one_was():
    first, second = Best(), Best()
    offer(first, 0.5, epoch=0)
    offer(first, 0.4, epoch=1)
    second.load_state_dict(first.state_dict())
    assert second == first
    assert not offer(second, 0.5, epoch=2)
    assert second.stale(2)


def test_steps_are_passed_on_until_all_are_stale():
    bests = [Best(), Best()]
    scores = [(0.1, 0.1), (0.2, 0.0), (0.1, 0.0), (0.0, 0.0), (0.9, 0.9)]

    def steps():
        for epoch, pair in enumerate(scores):
            for best, score in zip(bests, pair, strict=True):
                offer(best, score, epoch=epoch)
            yield epoch

    given = steps()
    assert list(until_stale(given, bests, 2)) == [0, 1, 2, 3]
    assert next(given, None) is None  # they are closed


def test_without_a_number_all_steps_are_passed_on():
    assert list(until_stale((k for k in range(5)), [Best()], None)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("scores", "best", "kept"),
    [
        ([0.1, 0.5, 0.3, 0.2], 1, {1, 3}),
        ([0.1, 0.5, 0.3, 0.2], 2, {1, 2, 3}),
        ([0.1, 0.2, 0.3], 1, {1, 2}),
        ([0.5, 0.5, float("nan")], 1, {0, 2}),
        ([0.5], 1, {0}),
    ],
)
def test_the_best_and_the_last_are_kept_and_never_fewer_than_two(scores, best, kept):
    assert worth_keeping({epoch: (s,) for epoch, s in enumerate(scores)}, best) == kept


def test_checkpoints_that_are_not_worth_keeping_go_with_their_digests(tmp_path):
    def path(epoch):
        return tmp_path / f"ep{epoch}.pt"

    scores = {epoch: (score,) for epoch, score in enumerate([0.1, 0.5, 0.2])}
    for epoch in scores:
        checkpoint.save(path(epoch), "fusion", {})
    prune(scores, None, path)
    assert len(list(tmp_path.iterdir())) == 6
    prune(scores, 1, path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "ep1.pt",
        "ep1.pt.sha256",
        "ep2.pt",
        "ep2.pt.sha256",
    ]

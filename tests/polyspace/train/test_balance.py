import math
from typing import get_args

import pytest
import torch

from polyspace.errors import ConfigError
from polyspace.train.balance import (
    DROP,
    BalanceKind,
    Dropping,
    Equal,
    Explained,
    Uncertainty,
    make,
    mean_losses,
    weighted,
)

LOSSES = {"a": {"l2": 1.0, "cosine": 0.5}, "b": {"l2": 4.0}, "c": {"l2": 2.0}}


def losses(values=None):
    return {
        teacher: {name: torch.tensor(value) for name, value in own.items()}
        for teacher, own in (values or LOSSES).items()
    }


def plain(terms):
    return {name: value.item() for name, value in terms.items()}


def test_an_equal_balance_gives_the_very_losses():
    given = losses()
    terms = Equal()(given)
    assert list(terms) == ["a/l2", "a/cosine", "b/l2", "c/l2"]
    assert terms["a/cosine"] is given["a"]["cosine"]


def test_every_loss_of_a_teacher_gets_its_weight():
    terms = weighted(losses(), torch.tensor([2.0, 0.0, 0.5]))
    assert plain(terms) == {"a/l2": 2.0, "a/cosine": 1.0, "b/l2": 0.0, "c/l2": 1.0}


class TestDropping:
    def steps(self, count):
        torch.manual_seed(0)
        balance = Dropping().train()
        return [plain(balance(losses())) for _ in range(count)]

    def test_the_teacher_that_is_furthest_behind_is_never_dropped(self):
        assert all(terms["b/l2"] > 0 for terms in self.steps(50))

    def test_weights_are_equal_and_add_up_to_the_teachers(self):
        for terms in self.steps(50):
            weights = [terms["a/l2"] / 1.0, terms["b/l2"] / 4.0, terms["c/l2"] / 2.0]
            assert sum(weights) == pytest.approx(3)
            assert {weight for weight in weights if weight} == {max(weights)}
            assert terms["a/cosine"] == terms["a/l2"] / 2

    def test_each_other_teacher_is_dropped_as_often_as_it_should_be_on_its_own(self):
        steps = self.steps(2000)
        gone = {name: [not terms[name] for terms in steps] for name in ("a/l2", "c/l2")}
        both = [first and second for first, second in zip(*gone.values(), strict=True)]
        assert [sum(lost) / 2000 for lost in gone.values()] == pytest.approx([DROP] * 2, abs=0.04)
        assert sum(both) / 2000 == pytest.approx(DROP**2, abs=0.04)

    def test_outside_of_training_all_stay_and_nothing_is_drawn(self):
        before = torch.get_rng_state()
        assert plain(Dropping().eval()(losses())) == plain(Equal()(losses()))
        assert torch.equal(torch.get_rng_state(), before)

    def test_the_state_of_torchs_draws_decides_what_is_dropped(self):
        torch.manual_seed(5)
        balance = Dropping().train()
        state = torch.get_rng_state()
        first = [plain(balance(losses())) for _ in range(20)]
        torch.set_rng_state(state)
        assert [plain(balance(losses())) for _ in range(20)] == first

    def test_one_teacher_alone_is_all_there_is(self):
        alone = losses({"a": {"l2": 3.0}})
        assert [plain(Dropping().train()(alone)) for _ in range(9)] == [{"a/l2": 3.0}] * 9

    def test_weights_pass_no_gradient(self):
        given = {"a": {"l2": torch.tensor(2.0, requires_grad=True)}}
        Dropping().train()(given)["a/l2"].backward()
        assert given["a"]["l2"].grad == 1


def test_an_explained_balance_divides_by_what_the_mean_loses():
    balance = Explained(3)
    balance.start_at(torch.tensor([0.5, 8.0, 2.0]))
    assert plain(balance(losses())) == {"a/l2": 2.0, "a/cosine": 1.0, "b/l2": 0.5, "c/l2": 1.0}
    assert "means" in balance.state_dict()


class TestUncertainty:
    def test_its_terms_are_those_of_the_formula(self):
        balance = Uncertainty(3)
        balance.start_at(torch.tensor([0.5, 8.0, 2.0]))
        terms = balance(losses())
        assert plain(terms) == pytest.approx(
            {
                "a/l2": 2.0,
                "a/cosine": 1.0,
                "b/l2": 0.5,
                "c/l2": 1.0,
                "a/log_variance": math.log(0.5),
                "b/log_variance": math.log(8),
                "c/log_variance": math.log(2),
            }
        )

    def test_the_gradient_of_a_variance_is_that_of_the_formula(self):
        balance = Uncertainty(3)
        torch.stack(list(balance(losses()).values())).sum().backward()
        assert balance.log_variance.grad is not None
        assert balance.log_variance.grad.tolist() == [1 - 1.5, 1 - 4.0, 1 - 2.0]

    def test_a_loss_that_stays_has_its_own_size_as_variance_in_the_end(self):
        balance = Uncertainty(3)
        optimizer = torch.optim.SGD(balance.parameters(), lr=0.1)
        for _ in range(500):
            optimizer.zero_grad()
            torch.stack(list(balance(losses()).values())).sum().backward()
            optimizer.step()
        torch.testing.assert_close(balance.log_variance.exp(), torch.tensor([1.5, 4.0, 2.0]))


def test_each_kind_is_what_it_is_called():
    kinds = {"none": Equal, "drop": Dropping, "explained": Explained, "uncertainty": Uncertainty}
    assert {kind: type(make(kind, 2)) for kind in get_args(BalanceKind)} == kinds


def test_a_mean_loss_counts_clips_and_not_batches():
    batches = [(3, losses({"a": {"l2": 1.0}})), (1, losses({"a": {"l2": 3.0}}))]
    assert mean_losses(batches).tolist() == [1.5]


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
def test_a_teacher_whose_mean_loses_nothing_is_refused_in_one_line(value):
    given = losses({"a": {"l2": 1.0}, "still": {"l2": value}})
    with pytest.raises(ConfigError, match="mean of still alone has a loss of") as refused:
        mean_losses([(2, given)])
    assert "\n" not in str(refused.value)


def test_only_a_learned_balance_has_weights_and_they_do_not_decay():
    found = {kind: [p.ndim for p in make(kind, 3).parameters()] for kind in get_args(BalanceKind)}
    assert found == {"none": [], "drop": [], "explained": [], "uncertainty": [1]}

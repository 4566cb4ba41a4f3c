from dataclasses import dataclass, field
from itertools import islice

import pytest
import torch
from torch import nn

from polyspace.engine.loop import Training
from polyspace.engine.recipe import Recipe
from polyspace.engine.workload import Workload
from polyspace.errors import DivergedError
from polyspace.precision import PrecisionName, resolve
from polyspace.seeding import generator

CPU = torch.device("cpu")


@dataclass
class Regression:
    """A convex problem that least squares solves exactly: y = x @ true."""

    seed: int = 0
    spoiled: range = range(0)
    """Steps whose loss is not a number."""
    seen: list = field(default_factory=list)
    """What the loss was given: the outputs' type, whether autocast was on, training mode."""

    steps = 4

    def __post_init__(self):
        draw = generator(self.seed, "data")
        self.x = torch.randn(32, 5, generator=draw)
        self.y = self.x @ torch.randn(5, 2, generator=draw)
        torch.manual_seed(self.seed)
        self.model = nn.Linear(5, 2)

    def batches(self, epoch, *, start=0):
        order = torch.randperm(32, generator=generator(self.seed, "order", epoch))
        return iter(order.split(8)[start:])

    def forward(self, batch):
        assert torch.is_grad_enabled()
        return self.model(self.x[batch])

    def loss(self, outputs, batch):
        self.seen.append((outputs.dtype, torch.is_autocast_enabled("cpu"), self.model.training))
        spoil = float("nan") if len(self.seen) - 1 in self.spoiled else 1.0
        error = (outputs.float() - self.y[batch]).square().mean()
        return {"first": 0.75 * error * spoil, "second": 0.25 * error}

    def score(self):
        assert not self.model.training
        assert not torch.is_grad_enabled()
        return {"error": float((self.model(self.x) - self.y).square().mean())}


def training(workload, *, compute: PrecisionName = "fp32", **changes):
    recipe = Recipe.model_validate({"epochs": 30, "lr": 0.1, "weight_decay": 0.0, **changes})
    return Training(workload, recipe, precision=resolve(compute, CPU), device=CPU)


def follow(workload, *, compute: PrecisionName = "fp32", **changes):
    return training(workload, compute=compute, **changes).steps()


def test_the_first_step_is_the_untrained_model_and_its_score():
    workload = Regression()
    before = {name: value.clone() for name, value in workload.model.state_dict().items()}
    first = next(follow(workload))
    assert (first.epoch, first.done, first.total, first.losses) == (0, 0, 120, {})
    with torch.no_grad():
        assert first.scores == workload.score()
    assert all(torch.equal(workload.model.state_dict()[name], before[name]) for name in before)


def test_a_convex_problem_is_solved():
    *_, last = follow(Regression())
    assert last.scores["error"] < 1e-3


def test_only_the_last_step_of_an_epoch_is_scored():
    steps = list(follow(Regression(), epochs=2))
    assert [step.epoch for step in steps] == [0, 1, 1, 1, 1, 2, 2, 2, 2]
    assert [step.done for step in steps] == list(range(9))
    assert [bool(step.scores) for step in steps] == [True, *([False] * 3 + [True]) * 2]


def test_no_epoch_is_only_the_score():
    assert len(list(follow(Regression(), epochs=0))) == 1


def test_the_loss_is_the_sum_of_its_terms():
    for step in islice(follow(Regression()), 1, 4):
        assert step.losses["loss"] == pytest.approx(step.losses["first"] + step.losses["second"])


def test_stopping_is_not_asking_for_the_next_step():
    workload = Regression()
    assert len(list(islice(follow(workload), 3))) == 3
    assert len(workload.seen) == 2


def test_equal_seeds_give_equal_bits():
    first, second = Regression(seed=3), Regression(seed=3)
    assert list(follow(first, epochs=3)) == list(follow(second, epochs=3))
    assert torch.equal(first.model.weight, second.model.weight)


def test_other_seeds_give_other_bits():
    first, second = Regression(seed=3), Regression(seed=4)
    assert list(follow(first, epochs=1)) != list(follow(second, epochs=1))


@pytest.mark.parametrize(
    ("compute", "dtype"),
    [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)],
)
def test_the_model_runs_in_the_compute_type_and_the_loss_outside_of_autocast(compute, dtype):
    workload = Regression()
    steps = list(follow(workload, epochs=1, compute=compute))
    assert set(workload.seen) == {(dtype, False, True)}
    assert workload.model.weight.dtype == torch.float32
    assert not steps[-1].skipped


def test_bfloat16_agrees_with_float32_step_by_step():
    exact, rounded = (
        [step.losses["loss"] for step in follow(Regression(), epochs=2, compute=name) if step.done]
        for name in ("fp32", "bf16")
    )
    assert rounded == pytest.approx(exact, rel=0.03)


@pytest.mark.parametrize("compute", ["bf16", "fp16"])
def test_reduced_precision_solves_the_convex_problem_too(compute):
    *_, last = follow(Regression(), compute=compute)
    assert last.scores["error"] < 1e-3


def test_in_float16_steps_are_skipped_only_until_the_scale_fits():
    skipped = [step.skipped for step in follow(Regression(), compute="fp16")]
    assert 0 < sum(skipped) < 10
    assert not any(skipped[20:])


@pytest.mark.parametrize("compute", ["fp32", "fp16"])
def test_a_step_whose_loss_is_not_a_number_is_skipped_and_the_run_goes_on(compute):
    workload = Regression(spoiled=range(22, 24))
    steps = list(follow(workload, compute=compute))
    assert [step.done for step in steps if step.skipped and step.done > 20] == [23, 24]
    assert steps[-1].scores["error"] < 1e-3


def test_a_run_that_stays_undefined_ends_with_its_remedy():
    with pytest.raises(DivergedError, match="lower --lr"):
        list(follow(Regression(spoiled=range(1000))))


def test_the_rate_warms_up_and_falls():
    rates = [step.lr for step in follow(Regression(), epochs=10, lr=0.2)][1:]
    assert max(rates) == pytest.approx(0.2)
    assert rates.index(max(rates)) <= 2
    assert rates[-1] < 0.01 * 0.2


def test_a_step_says_where_the_run_is():
    *_, last = follow(Regression(), epochs=1)
    assert str(last).startswith("epoch 1  first ")
    assert "error" in str(last)


def test_it_takes_workloads():
    assert isinstance(Regression(), Workload)

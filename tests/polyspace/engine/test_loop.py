from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import pytest
import torch
from torch import nn

from polyspace.engine import checkpoint
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


def saved(run, folder):
    return checkpoint.load(checkpoint.save(folder / "run.pt", "run", run.state_dict()), "run")


def same(first, second):
    one, other = (work.model.state_dict() for work in (first, second))
    return all(torch.equal(one[name], other[name]) for name in one)


@dataclass
class Draws(Regression):
    """With dropout, and running statistics."""

    def __post_init__(self):
        super().__post_init__()
        self.model = nn.Sequential(nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, 2))


@pytest.mark.parametrize("compute", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize(
    "changes",
    [{}, {"ema": 0.9}, {"accumulate": 3, "ema": 0.5}, {"optimizer": "sgd"}, {"max_steps": 10}],
    ids=str,
)
def test_a_run_that_stops_after_any_step_and_goes_on_is_one_that_did_not(
    changes, compute, tmp_path
):
    settings: dict[str, Any] = {"compute": compute, "epochs": 3, "schedule": "one_cycle", **changes}
    whole = Draws(spoiled=range(5, 7))
    torch.manual_seed(1)
    steps = list(follow(whole, **settings))
    for stop in range(1, len(steps) + 1):
        first = Draws(spoiled=range(5, 7))
        torch.manual_seed(1)
        begun = training(first, **settings)
        before = list(islice(begun.steps(), stop))
        state = saved(begun, tmp_path)
        second = Draws(spoiled=first.spoiled, seen=first.seen)
        torch.rand(3)
        going = training(second, **settings)
        going.load_state_dict(state)
        assert repr([*before, *going.steps()]) == repr(steps)  # by repr, NaN is NaN
        assert same(second, whole)


def test_a_state_that_is_taken_while_averages_are_shown_is_the_same(tmp_path):
    """In the middle of looking at a scored step, the model holds the average."""
    shown, hidden = Regression(), Regression()
    one, other = (training(work, epochs=1, ema=0.9) for work in (shown, hidden))
    steps = one.steps()
    while (step := next(steps)).done != 4:
        pass
    assert step.scores
    list(other.steps())
    during, after = saved(one, tmp_path), saved(other, tmp_path)
    for name in ("model", "average"):
        first, second = (dict(state[name].get("values", state[name])) for state in (during, after))
        assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(during["model"]["weight"], during["average"]["values"]["weight"])
    assert torch.equal(shown.model.weight, during["average"]["values"]["weight"])
    assert torch.equal(hidden.model.weight, during["model"]["weight"])


def test_averaged_weights_are_what_is_scored():
    workload = Regression()
    run = training(workload, epochs=2, ema=0.9)
    for step in run.steps():
        if step.scores:
            with torch.no_grad():
                error = (workload.model(workload.x) - workload.y).square().mean()
            assert step.scores["error"] == float(error)


def test_accumulated_batches_are_one_step_with_their_mean_gradient():
    together, apart = Regression(), Regression()
    together.steps, together.batches = (
        2,
        lambda epoch, start=0: iter(torch.arange(32).split(16)[start:]),
    )
    apart.batches = lambda epoch, start=0: iter(torch.arange(32).split(8)[start:])
    one = list(follow(together, epochs=3))
    other = list(follow(apart, epochs=3, accumulate=2))
    assert [step.done for step in other] == [step.done for step in one]
    assert [step.total for step in other] == [6] * 7
    for first, second in zip(one[1:], other[1:], strict=True):
        assert second.losses == pytest.approx(first.losses, rel=1e-5)
    torch.testing.assert_close(together.model.weight, apart.model.weight)


def test_a_rest_of_an_epoch_is_a_step_of_its_own():
    steps = list(follow(Regression(), epochs=2, accumulate=3))
    assert [(step.epoch, step.done, bool(step.scores)) for step in steps] == [
        (0, 0, True),
        (1, 1, False),
        (1, 2, True),
        (2, 3, False),
        (2, 4, True),
    ]


def test_a_limit_of_steps_ends_the_run_with_a_score():
    steps = list(follow(Regression(), epochs=3, max_steps=6))
    assert [(step.epoch, step.total) for step in steps[-2:]] == [(2, 6), (2, 6)]
    assert steps[-1].done == 6
    assert steps[-1].scores
    assert steps[-1].lr < 0.25 * 0.1


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("compute", ["fp32", "bf16", "fp16"])
def test_bad_batches_reach_no_weight_and_are_all_counted(compute, bad):
    """One percent of the batches has an input that is not finite."""
    workload = Draws()
    draw = generator(0, "bad")
    reads = workload.batches
    spoiled: list[int] = []
    bad_now = [False]

    def batches(epoch, *, start=0):
        for batch in reads(epoch, start=start):
            bad_now[0] = float(torch.rand((), generator=draw)) < 0.01
            if bad_now[0]:
                spoiled.append(epoch)
            yield batch

    def forward(batch):
        inputs = workload.x[batch].clone()
        if bad_now[0]:
            inputs[0, 0] = bad
        return workload.model(inputs)

    workload.batches, workload.forward = batches, forward
    run = training(workload, compute=compute, epochs=200, ema=0.9)
    skipped = [step.epoch for step in run.steps() if step.skipped and step.epoch > 5]
    assert len(spoiled) >= 5
    assert skipped == [epoch for epoch in spoiled if epoch > 5]
    assert run.average
    for state in (workload.model.state_dict(), run.average.state_dict()["values"]):
        assert all(torch.isfinite(value).all() for value in state.values())
    assert run.average.state_dict()["updates"] == run.done - run.stepper.skipped


def test_skipped_steps_do_not_move_the_schedule_on():
    plain, spoiled = (list(follow(Regression(spoiled=r))) for r in (range(0), range(40, 44)))
    rates = [step.lr for step in spoiled if not step.skipped]
    assert rates == [step.lr for step in plain][: len(rates)]


def test_training_goes_on_in_another_precision(tmp_path):
    first, second = Regression(), Regression()
    begun = training(first, compute="fp32", epochs=6)
    list(islice(begun.steps(), 9))
    going = training(second, compute="fp16", epochs=6)
    going.load_state_dict(saved(begun, tmp_path))
    steps = list(going.steps())
    assert [step.done for step in steps] == list(range(9, 25))
    assert second.seen[0][0] == torch.float16


def test_it_takes_workloads():
    assert isinstance(Regression(), Workload)

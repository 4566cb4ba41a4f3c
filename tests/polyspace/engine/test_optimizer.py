from copy import deepcopy

import pytest
import torch
from torch import nn

from polyspace.engine.optimizer import Part, Stepper, make
from polyspace.errors import DivergedError


def stepper(model, *, fp16=False, patience=20, weight_decay=0.0):
    scaler = torch.amp.GradScaler("cpu", enabled=fp16, init_scale=1024.0)
    optimizer = make("adamw", [Part(model, weight_decay)], lr=0.1)
    return Stepper(model, optimizer, scaler, patience=patience)


def state(model):
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def test_matrices_decay_and_vectors_do_not():
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    decay = {
        id(parameter): group["weight_decay"]
        for group in make("adamw", [Part(model, 0.3)], lr=0.1).param_groups
        for parameter in group["params"]
    }
    assert {name: decay[id(p)] for name, p in model.named_parameters()} == {
        "0.weight": 0.3,
        "0.bias": 0.0,
        "1.weight": 0.0,
        "1.bias": 0.0,
    }


def test_frozen_parameters_are_not_the_optimizers():
    model = nn.Linear(3, 4)
    model.bias.requires_grad_(False)
    groups = make("adamw", [Part(model, 0.3)], lr=0.1).param_groups
    assert [p for group in groups for p in group["params"]] == [model.weight]


@pytest.mark.parametrize("fp16", [False, True], ids=["fp32", "fp16"])
def test_a_step_moves_the_weights_at_the_rate_that_it_is_given(fp16):
    model = nn.Linear(2, 1, bias=False)
    before = model.weight.detach().clone()
    assert not stepper(model, fp16=fp16).step([model(torch.ones(1, 2)).sum()], lr=0.25)
    # Adam's first step is the rate itself in the direction against the gradient, which is one.
    torch.testing.assert_close(model.weight, before - 0.25)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("fp16", [False, True], ids=["fp32", "fp16"])
def test_a_gradient_that_is_not_finite_moves_no_weight(bad, fp16):
    model = nn.Linear(2, 1)
    taken = stepper(model, fp16=fp16, weight_decay=0.5)
    taken.step([model(torch.ones(1, 2)).sum()], lr=0.1)  # so that there is momentum to coast on
    before = state(model)
    assert taken.step([(model(torch.ones(1, 2)) * bad).sum()], lr=0.1)
    assert same(state(model), before)


@pytest.mark.parametrize("fp16", [False, True], ids=["fp32", "fp16"])
def test_finite_gradients_whose_norm_overflows_move_no_weight(fp16):
    model = nn.Linear(2, 1)
    taken = stepper(model, fp16=fp16, weight_decay=0.5)
    taken.step([model(torch.ones(1, 2)).sum()], lr=0.1)
    before = state(model)
    assert taken.step([(model(torch.ones(1, 2)) * 1e30).sum()], lr=0.1)
    assert same(state(model), before)


def test_in_float16_a_skipped_step_halves_the_scale_and_a_good_one_keeps_it():
    model = nn.Linear(2, 1)
    taken = stepper(model, fp16=True)
    taken.step([model(torch.ones(1, 2)).sum()], lr=0.1)
    assert taken.scaler.get_scale() == 1024
    taken.step([(model(torch.ones(1, 2)) * float("inf")).sum()], lr=0.1)
    assert taken.scaler.get_scale() == 512


def test_skipped_steps_in_a_row_end_the_run_when_patience_does():
    model = nn.Linear(2, 1)
    taken = stepper(model, patience=3)
    for expected in (1, 2):
        assert taken.step([(model(torch.ones(1, 2)) * float("nan")).sum()], lr=0.1)
        assert taken.skipped_in_row == expected
    with pytest.raises(DivergedError, match=r"3 steps in a row .* lower --lr"):
        taken.step([(model(torch.ones(1, 2)) * float("nan")).sum()], lr=0.1)


def test_a_good_step_renews_patience():
    model = nn.Linear(2, 1)
    taken = stepper(model, patience=2)
    for factor in (float("nan"), 1.0, float("nan"), 1.0):
        taken.step([(model(torch.ones(1, 2)) * factor).sum()], lr=0.1)
    assert taken.skipped_in_row == 0


def test_large_gradients_are_clipped_to_the_norm():
    model = nn.Linear(2, 1, bias=False)
    taken = stepper(model)
    taken.step([1e6 * model(torch.tensor([[3.0, 4.0]])).sum()], lr=0.1)
    torch.testing.assert_close(model.weight.grad, torch.tensor([[0.6, 0.8]]))


def test_the_gradient_of_an_earlier_step_is_forgotten():
    model = nn.Linear(2, 1, bias=False)
    taken = stepper(model)
    for _ in range(2):
        taken.step([0.1 * model(torch.ones(1, 2)).sum()], lr=0.1)
        torch.testing.assert_close(model.weight.grad, torch.full((1, 2), 0.1))


def test_several_losses_are_one_step_along_the_sum_of_their_gradients():
    one, other = nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False)
    other.load_state_dict(one.state_dict())
    first, second = torch.tensor([[0.1, 0.2]]), torch.tensor([[0.3, 0.0]])
    stepper(one).step((one(x).sum() for x in (first, second)), lr=0.1)
    stepper(other).step([other(first + second).sum()], lr=0.1)
    torch.testing.assert_close(one.weight.grad, other.weight.grad)
    torch.testing.assert_close(one.weight, other.weight)


def test_one_bad_loss_of_several_skips_the_step():
    model = nn.Linear(2, 1)
    before = state(model)
    taken = stepper(model)
    losses = [model(torch.ones(1, 2)).sum() * factor for factor in (1.0, float("nan"))]
    assert taken.step(losses, lr=0.1)
    assert same(state(model), before)
    assert taken.skipped == 1


def test_sgd_steps_against_the_gradient_and_its_momentum():
    model = nn.Linear(1, 1, bias=False)
    start = model.weight.item()
    taken = Stepper(
        model,
        make("sgd", [Part(model, 0.0)], lr=0.1),
        torch.amp.GradScaler("cpu", enabled=False),
    )
    for _ in range(2):
        taken.step([0.5 * model(torch.ones(1, 1)).sum()], lr=0.1)
    # Nesterov: velocity v = 0.9 v + g, step g + 0.9 v; first 0.5 * 1.9, then 0.5 * (1 + 0.9 * 1.9).
    assert model.weight.item() == pytest.approx(start - 0.1 * 0.5 * (1.9 + 2.71))


@pytest.mark.parametrize("fp16", [False, True], ids=["fp32", "fp16"])
def test_running_statistics_of_a_skipped_step_are_forgotten(fp16):
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 1))
    taken = stepper(model, fp16=fp16)

    def losses(scale):
        yield model(torch.randn(8, 2) * scale).sum()

    assert not taken.step(losses(1.0), lr=0.1)
    before = state(model)
    assert taken.step(losses(float("nan")), lr=0.1)
    assert same(state(model), before)


def test_a_scale_that_falls_below_one_ends_the_run():
    model = nn.Linear(2, 1)
    taken = stepper(model, fp16=True, patience=100)
    for _ in range(10):
        assert taken.step([model(torch.ones(1, 2)) * float("nan")], lr=0.1)
    assert taken.scaler.get_scale() == 1
    with pytest.raises(DivergedError, match=r"scale in float16 fell to 0\.5, expected 1 or more"):
        taken.step([model(torch.ones(1, 2)) * float("nan")], lr=0.1)


@pytest.mark.parametrize("fp16", [False, True], ids=["fp32", "fp16"])
def test_a_stepper_goes_on_where_another_one_was(fp16):
    model = nn.Linear(2, 1)
    first = stepper(model, fp16=fp16)
    for factor in (1.0, float("inf"), 1.0):
        first.step([(model(torch.ones(1, 2)) * factor).sum()], lr=0.1)
    twin = nn.Linear(2, 1)
    twin.load_state_dict(model.state_dict())
    second = stepper(twin, fp16=fp16)
    second.load_state_dict(deepcopy(first.state_dict()))
    for one, other in ((model, first), (twin, second)):
        other.step([one(torch.ones(1, 2)).sum()], lr=0.1)
    assert same(state(model), state(twin))
    assert (second.skipped, second.skipped_in_row) == (1, 0)
    assert second.scaler.get_scale() == first.scaler.get_scale()


def test_a_scaler_starts_anew_where_there_was_none():
    model = nn.Linear(2, 1)
    first, second = stepper(model), stepper(model, fp16=True)
    second.load_state_dict(first.state_dict())
    assert second.scaler.get_scale() == 1024


def test_parts_descend_at_rates_of_their_own_and_are_shortened_by_themselves():
    def lines(*, apart):
        torch.manual_seed(0)
        models = [nn.Linear(2, 1, bias=False) for _ in range(2)]
        every = nn.ModuleList(models)
        parts = [Part(models[0], 0.0), Part(models[1], 0.0, rate=0.1)] if apart else []
        optimizer = make("sgd", parts or [Part(every, 0.0)], lr=1.0)
        taken = Stepper(every, optimizer, torch.amp.GradScaler("cpu", enabled=False))
        before = [model.weight.detach().clone() for model in models]
        steep, flat = (model(torch.ones(1, 2)).sum() for model in models)
        taken.step([1000 * steep + 0.5 * flat], lr=1.0)
        return [m.weight.detach() - b for m, b in zip(models, before, strict=True)]

    # Nesterov's first step is 1.9 times the gradient, which is shortened to one if it is longer.
    steep, flat = lines(apart=True)
    torch.testing.assert_close(steep, torch.full((1, 2), -1.9 / 2**0.5))
    torch.testing.assert_close(flat, torch.full((1, 2), -0.1 * 1.9 * 0.5))
    assert lines(apart=False)[1].abs().max() < 0.001

import pytest
import torch

from polyspace.models import closed_form
from polyspace.models.closed_form import Affine, Moments, collect

WIDE, DIM = 6, 4


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def inputs(tokens=400, wide=WIDE, seed=0):
    return torch.randn(tokens, wide, generator=draw(seed))


def moments(x, y, *, cuts=3) -> Moments:
    pairs = zip(x.chunk(cuts), y.chunk(cuts), strict=True)
    return collect(pairs, wide=x.shape[-1])


def rotation(wide, dim):
    return torch.linalg.qr(torch.randn(max(wide, dim), min(wide, dim), generator=draw(9))).Q


def test_moments_do_not_depend_on_how_the_tokens_are_cut():
    x, y = inputs(), inputs(wide=DIM, seed=1)
    whole, cut = moments(x, y, cuts=1), moments(x, y, cuts=7)
    assert whole.count == cut.count == 400
    for name in ("x", "y", "xx", "xy", "yy"):
        torch.testing.assert_close(getattr(whole, name), getattr(cut, name), rtol=1e-5, atol=1e-3)


def test_tokens_may_lie_on_a_grid():
    x, y = inputs(), inputs(wide=DIM, seed=1)
    grid = [(x.view(10, 4, 10, WIDE), y.view(10, 4, 10, DIM))]
    found = collect(grid, wide=WIDE)
    torch.testing.assert_close(found.xy, moments(x, y, cuts=1).xy)


def test_the_mean_ignores_its_input():
    x, y = inputs(), inputs(wide=DIM, seed=1) + 3
    fit = closed_form.mean(moments(x, y))
    assert not fit.weight.any()
    torch.testing.assert_close(fit.bias, y.double().mean(0))


def test_ridge_finds_a_linear_map_with_its_offset():
    x = inputs() + 2
    weight, bias = torch.randn(WIDE, DIM, generator=draw(2)), torch.tensor([0.0, 1, -5, 9])
    found = moments(x, x @ weight + bias)
    fit = closed_form.ridge(found, moments(*(lambda x: (x, x @ weight + bias))(inputs(seed=5))))
    torch.testing.assert_close(fit.weight.float(), weight, rtol=0, atol=1e-3)
    torch.testing.assert_close(fit.bias.float(), bias, rtol=0, atol=5e-3)


def test_ridge_takes_the_weakest_strength_where_there_is_no_noise():
    x = inputs()
    y = x @ torch.randn(WIDE, DIM, generator=draw(2))
    fitted, held = moments(x, y), moments(x + 1, (x + 1) @ torch.linalg.lstsq(x, y).solution)
    assert strength_of(closed_form.ridge(fitted, held), fitted) == min(closed_form.RIDGE_STRENGTHS)


def test_ridge_takes_the_strongest_where_the_held_out_tokens_say_the_opposite():
    x, y = inputs(tokens=12), inputs(tokens=12, wide=DIM, seed=1)
    fitted = moments(x, y)
    least_squares = solve(fitted, 0.0).weight.float()
    x = inputs(seed=3)
    held = moments(x, -x @ least_squares)
    assert strength_of(closed_form.ridge(fitted, held), fitted) == max(closed_form.RIDGE_STRENGTHS)


@pytest.mark.parametrize("strength", closed_form.RIDGE_STRENGTHS)
def test_ridge_takes_the_strength_that_does_best_on_held_out_tokens(strength):
    fitted = moments(inputs(tokens=20), inputs(tokens=20, wide=DIM, seed=1))
    # Held-out targets that one of the strengths predicts without any error.
    best = solve(fitted, strength)
    x = inputs(seed=3)
    held = moments(x, (x.double() @ best.weight + best.bias).float())
    torch.testing.assert_close(closed_form.ridge(fitted, held).weight, best.weight)


@pytest.mark.parametrize(("wide", "dim"), [(5, 5), (6, 3), (3, 6)])
def test_procrustes_finds_a_rotation_up_to_scale_and_shift(wide, dim):
    x = inputs(wide=wide)
    x = torch.linalg.qr(x - x.mean(0)).Q * 20  # uncorrelated, which a projection needs to be exact
    turn = rotation(wide, dim) if wide >= dim else rotation(wide, dim).T
    fit = closed_form.procrustes(moments(x, 2.5 * x @ turn + 1))
    torch.testing.assert_close(fit.weight.float(), 2.5 * turn, rtol=0, atol=1e-4)
    torch.testing.assert_close(fit.bias.float(), torch.ones(dim), rtol=0, atol=1e-4)


def test_procrustes_does_not_take_a_mirror_or_a_shear_for_a_rotation():
    x = inputs(wide=3)
    shear = torch.tensor([[1.0, 2, 0], [0, 1, 0], [0, 0, 1]])
    weight = closed_form.procrustes(moments(x, x @ shear)).weight
    scale = weight.square().sum().div(3).sqrt()
    torch.testing.assert_close(weight.T @ weight / scale**2, torch.eye(3).double())


def test_procrustes_is_no_better_than_ridge_and_ridge_no_worse_than_the_mean():
    x = inputs()
    y = torch.tanh(x @ torch.randn(WIDE, DIM, generator=draw(2)))
    held = inputs(seed=7)
    of_held = moments(held, torch.tanh(held @ torch.randn(WIDE, DIM, generator=draw(2))))
    fitted = moments(x, y)
    errors = [
        float(closed_form.squared_error(fit, of_held))
        for fit in (
            closed_form.ridge(fitted, of_held),
            closed_form.procrustes(fitted),
            closed_form.mean(fitted),
        )
    ]
    assert errors == sorted(errors)


def test_least_squares_are_numpys():
    x, y = inputs() + 2, inputs(wide=DIM, seed=1)
    fit = closed_form.ols(moments(x, y))
    ones = torch.ones(len(x), 1)
    expected = torch.linalg.lstsq(torch.cat([x, ones], 1).double(), y.double()).solution
    torch.testing.assert_close(fit.weight, expected[:-1], rtol=0, atol=1e-5)
    torch.testing.assert_close(fit.bias, expected[-1], rtol=0, atol=1e-4)


def test_least_squares_of_inputs_that_repeat_share_the_weight():
    x = inputs(wide=1)
    fit = closed_form.ols(moments(torch.cat([x, x], dim=1), 3 * x))
    torch.testing.assert_close(fit.weight.float(), torch.full((2, 1), 1.5), rtol=0, atol=1e-4)


def test_low_rank_finds_a_map_of_low_rank():
    x = inputs() + 1
    weight = torch.randn(WIDE, 2, generator=draw(2)) @ torch.randn(2, DIM, generator=draw(3))
    found = moments(x, x @ weight + 1)
    fit = closed_form.low_rank(found, found, rank=2)
    torch.testing.assert_close(fit.weight.float(), weight, rtol=0, atol=5e-3)
    assert int(torch.linalg.matrix_rank(fit.weight, rtol=1e-6)) == 2


def test_low_rank_keeps_the_directions_that_predict_most():
    x = torch.linalg.qr(inputs(wide=3) - inputs(wide=3).mean(0)).Q * 20
    found = moments(x, x * torch.tensor([1.0, 5.0, 3.0]))
    fit = closed_form.low_rank(found, found, rank=2)
    expected = torch.tensor([[0.0, 0, 0], [0, 5, 0], [0, 0, 3]])
    torch.testing.assert_close(fit.weight.float(), expected, rtol=0, atol=1e-2)


def test_low_rank_of_full_rank_is_ridge():
    found = moments(inputs(), inputs(wide=DIM, seed=1))
    ridge = closed_form.ridge(found, found)
    fit = closed_form.low_rank(found, found, rank=DIM)
    torch.testing.assert_close(fit.weight, ridge.weight)


@pytest.mark.parametrize(("wide", "dim"), [(5, 5), (6, 3), (3, 6)])
def test_orthogonal_turns_and_keeps_sizes(wide, dim):
    x = inputs(wide=wide)
    x = torch.linalg.qr(x - x.mean(0)).Q * 20
    turn = rotation(wide, dim) if wide >= dim else rotation(wide, dim).T
    fit = closed_form.orthogonal(moments(x, 2.5 * x @ turn + 1))
    torch.testing.assert_close(fit.weight.float(), turn, rtol=0, atol=1e-4)
    torch.testing.assert_close(fit.bias.float(), torch.ones(dim), rtol=0, atol=1e-4)


def test_the_squared_error_is_the_one_computed_directly():
    x, y = inputs() + 1, inputs(wide=DIM, seed=1)
    fit = Affine(
        torch.randn(WIDE, DIM, generator=draw(2), dtype=torch.float64),
        torch.randn(DIM, generator=draw(3), dtype=torch.float64),
    )
    direct = (x.double() @ fit.weight + fit.bias - y).square().sum()
    torch.testing.assert_close(
        closed_form.squared_error(fit, moments(x, y)), direct, rtol=1e-6, atol=0
    )


def solve(fitted: Moments, strength: float) -> Affine:
    """Solve ridge once more, from its definition."""
    penalty = strength * fitted.xx.diagonal().mean() * torch.eye(WIDE, dtype=fitted.xx.dtype)
    weight = torch.linalg.solve(fitted.xx + penalty, fitted.xy)
    return Affine(weight, fitted.y - fitted.x @ weight)


def strength_of(fit: Affine, fitted: Moments) -> float:
    return min(
        closed_form.RIDGE_STRENGTHS,
        key=lambda strength: float((solve(fitted, strength).weight - fit.weight).abs().max()),
    )

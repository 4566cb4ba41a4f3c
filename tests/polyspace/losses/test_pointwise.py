import pytest
import torch

from polyspace.losses import pointwise as losses


@pytest.mark.parametrize(
    ("factor", "expected"),
    [(1.0, 0.0), (0.01, 0.0), (-3.0, 2.0)],
    ids=["same", "short", "opposite"],
)
def test_cosine_asks_for_the_direction_and_is_blind_to_size(factor, expected):
    true = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    assert losses.cosine(factor * true, true).item() == pytest.approx(expected, abs=1e-6)


def test_cosine_of_a_right_angle_is_one():
    assert losses.cosine(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])).item() == 1


def test_cosine_is_finite_with_finite_gradients_where_a_vector_is_zero():
    predicted = torch.zeros(2, 3, requires_grad=True)
    loss = losses.cosine(predicted, torch.ones(2, 3))
    loss.backward()
    assert loss.item() == 1
    assert predicted.grad is not None
    assert predicted.grad.isfinite().all()


@pytest.mark.parametrize(
    ("error", "beta", "expected"),
    [(0.5, 1.0, 0.125), (1.0, 1.0, 0.5), (3.0, 1.0, 2.5), (3.0, 2.0, 2.0), (1.0, 2.0, 0.25)],
)
def test_smooth_l1_is_a_parabola_up_to_beta_and_a_line_beyond(error, beta, expected):
    true = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    found = losses.smooth_l1(true + error, true, beta=beta)
    assert found.item() == pytest.approx(expected, abs=1e-6)


def test_an_outlier_pulls_smooth_l1_no_harder_than_an_error_of_beta():
    predicted = torch.tensor([[1.0, 100.0]], requires_grad=True)
    losses.smooth_l1(predicted, torch.zeros(1, 2)).backward()
    assert predicted.grad is not None
    assert predicted.grad.tolist() == [[0.5, 0.5]]


def test_both_losses_are_zero_for_a_perfect_translation():
    true = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    assert losses.smooth_l1(true.clone(), true).item() == 0
    assert losses.cosine(true.clone(), true).item() == pytest.approx(0, abs=1e-6)


def test_l1_is_the_mean_absolute_error():
    predicted = torch.tensor([[1.0, -2.0], [0.0, 5.0]])
    assert losses.l1(predicted, torch.zeros(2, 2)).item() == 2


def test_l2_is_the_mean_squared_error():
    predicted = torch.tensor([[1.0, -2.0], [0.0, 5.0]])
    assert losses.l2(predicted, torch.zeros(2, 2)).item() == 7.5

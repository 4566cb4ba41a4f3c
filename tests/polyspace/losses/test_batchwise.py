from math import exp, log

import pytest
import torch

from polyspace.losses import batchwise


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def turn(dim):
    return torch.linalg.qr(draw(dim, dim, seed=9)).Q


def test_info_nce_of_right_angles_is_what_the_softmax_says():
    clips = torch.eye(4)
    found = batchwise.info_nce(3 * clips, 5 * clips, torch.arange(4), temperature=0.5)
    assert found.item() == pytest.approx(log(1 + 3 * exp(-2)), abs=1e-6)


def test_info_nce_asks_in_both_directions():
    ours = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    theirs = torch.eye(2)
    # Towards the teacher both choose the first; towards the student all is equal.
    forth = (log(1 + exp(-1)) + log(1 + exp(1))) / 2
    back = log(2)
    found = batchwise.info_nce(ours, theirs, torch.arange(2), temperature=1.0)
    assert found.item() == pytest.approx((forth + back) / 2, abs=1e-6)


def test_info_nce_leaves_other_views_of_the_same_video_out():
    clips = torch.eye(4)
    videos = torch.tensor([0, 0, 1, 2])
    found = batchwise.info_nce(clips, clips, videos, temperature=1.0)
    of_two_views, alone = log(1 + 2 * exp(-1)), log(1 + 3 * exp(-1))
    assert found.item() == pytest.approx((of_two_views + alone) / 2, abs=1e-6)


def test_info_nce_compares_each_place_with_itself():
    tokens = draw(5, 2, 3, 4)
    places = [tokens[:, time, space] for time in range(2) for space in range(3)]
    videos = torch.arange(5)
    alone = [batchwise.info_nce(place, -place, videos) for place in places]
    found = batchwise.info_nce(tokens, -tokens, videos)
    torch.testing.assert_close(found, torch.stack(alone).mean())


def test_vicreg_weighs_error_missing_variance_and_covariance():
    rows = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])  # variance 2, covariance 2, with n - 1
    assert batchwise.vicreg(rows, rows).item() == pytest.approx(2 * 2**2 / 2, abs=1e-5)
    assert batchwise.vicreg(rows, rows + 2).item() == pytest.approx(25 * 4 + 4, abs=1e-4)


def test_vicreg_asks_dimensions_that_never_vary_for_a_deviation_of_one():
    rows = torch.full((3, 2), 7.0)
    assert batchwise.vicreg(rows, rows).item() == pytest.approx(25 * (1 - 0.01), abs=1e-5)


def test_barlow_twins_is_zero_where_each_dimension_goes_with_its_own_alone():
    rows = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert batchwise.barlow_twins(5 * rows + 2, rows).item() == pytest.approx(0, abs=1e-8)
    swapped = batchwise.barlow_twins(rows.flip(1), rows, redundancy=0.1).item()
    assert swapped == pytest.approx(2 + 0.1 * 2, abs=1e-4)


def test_linear_cka_is_blind_to_rotation_scale_and_shift_and_to_nothing_else():
    rows = draw(50, 6)
    assert batchwise.linear_cka(3 * rows @ turn(6) + 2, rows).item() == pytest.approx(0, abs=1e-5)
    first, second = torch.tensor([[1.0], [-1], [1], [-1]]), torch.tensor([[1.0], [1], [-1], [-1]])
    assert batchwise.linear_cka(first, second).item() == pytest.approx(1, abs=1e-6)
    # Variances 4 and 1 beside variances 1 and 1: (4 + 1) / (sqrt(17) sqrt(2)).
    plain = torch.cat([first, second], dim=1)
    stretched = plain * torch.tensor([2.0, 1.0])
    expected = 1 - 5 / 34**0.5
    assert batchwise.linear_cka(stretched, plain).item() == pytest.approx(expected, abs=1e-6)


def test_relational_compares_shares_of_the_mean_distance():
    line = torch.tensor([[0.0], [1.0], [3.0]])  # distances 1, 3, 2: shares 0.5, 1.5, 1
    triangle = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])  # all shares 1
    loss = batchwise.relational
    assert loss(7 * line + 2, line).item() == pytest.approx(0, abs=1e-9)
    padded = torch.cat([line, torch.zeros(3, 2)], dim=1)
    assert loss(triangle, padded).item() == pytest.approx(2 * 0.125 / 3, abs=1e-6)


@pytest.mark.parametrize("loss", ["linear_cka", "relational", "barlow_twins", "vicreg"])
def test_gradients_are_finite_where_all_translations_are_equal(loss):
    predicted = torch.zeros(4, 2, 1, 3, requires_grad=True)
    getattr(batchwise, loss)(predicted, draw(4, 2, 1, 3)).backward()
    assert predicted.grad is not None
    assert predicted.grad.isfinite().all()

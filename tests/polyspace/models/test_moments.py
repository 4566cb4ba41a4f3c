import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polyspace.models import moments
from polyspace.models.moments import RunningMoments, outer, squares

CLIPS, DIM = 12, 5
MIXED = torch.linalg.qr(torch.randn(DIM, DIM, generator=torch.Generator().manual_seed(1))).Q


def tokens(seed=0, *, mean=0.0, std=1.0, clips=CLIPS):
    draw = torch.Generator().manual_seed(seed)
    return mean + std * (torch.randn(clips, 3, 2, DIM, generator=draw) @ MIXED + torch.arange(5.0))


def taken_in(batches, products=outer):
    running = RunningMoments(products)
    for batch in batches:
        running.add(batch)
    return running


def flat(values):
    return values.double().flatten(0, -2).numpy()


def assert_covariance_is_numpys(running, values, *, within=1e-12):
    expected = np.cov(flat(values), rowvar=False, bias=True)
    found = (running.sums / running.count).numpy()
    # Of each dimension's own deviation: what is uncorrelated has no scale of its own.
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    assert np.abs((found - expected) / scale).max() < within


@given(
    cuts=st.sets(st.integers(1, CLIPS - 1)),
    seed=st.integers(0, 2**31),
    mean=st.floats(-100, 100, width=32),
)
def test_mean_and_covariance_equal_numpys_however_the_clips_are_cut(cuts, seed, mean):
    values = tokens(seed, mean=mean)
    found = taken_in(values.tensor_split(sorted(cuts)))
    assert found.count == CLIPS * 3 * 2
    np.testing.assert_allclose(found.mean, flat(values).mean(0), rtol=1e-12, atol=1e-12)
    assert_covariance_is_numpys(found, values)


@pytest.mark.parametrize("batch", [1, 5, CLIPS])
def test_a_mean_far_larger_than_the_deviations_costs_no_digits(batch):
    values = tokens(mean=1e4, std=1e-2)
    assert_covariance_is_numpys(taken_in(values.split(batch)), values)


def test_a_drifting_mean_is_taken_in():
    values = torch.cat([tokens(seed, mean=1e3 * seed, std=1e-2) for seed in range(4)])
    assert_covariance_is_numpys(taken_in(values.split(CLIPS)), values)


def test_large_batches_are_taken_in_piece_by_piece(monkeypatch):
    values = tokens()
    monkeypatch.setattr(moments, "TOKENS", 7)
    sizes = []

    def recorded(deviations):
        sizes.append(len(deviations))
        return outer(deviations)

    assert_covariance_is_numpys(taken_in([values], recorded), values)
    assert max(sizes) == 7 + 1


def test_squares_are_the_diagonal_of_outer():
    values = tokens(mean=3)
    variance = taken_in(values.split(5), squares).sums
    torch.testing.assert_close(variance, taken_in([values]).sums.diagonal(), rtol=1e-12, atol=0)


def test_products_in_float32_are_added_in_float64():
    values = tokens()
    found = taken_in([values], lambda deviations: deviations.float().T @ deviations.float())
    assert found.sums.dtype == torch.float64
    assert_covariance_is_numpys(found, values, within=1e-5)

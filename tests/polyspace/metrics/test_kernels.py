import numpy as np
import pytest

from polyspace.errors import MetricError
from polyspace.metrics import kernels, spaces
from polyspace.metrics.kernels import Kernel, cka
from tests.support import representations as published

SHAPES = [(40, 5, 9), (25, 60, 4), (30, 100, 80), (4, 3, 3)]


def compared(first, second):
    return cka(Kernel.of(first), Kernel.of(second))


@pytest.mark.parametrize("shape", SHAPES)
def test_cka_is_the_published_formula_without_its_kernels(shape):
    first, second = published.related(*shape)
    biased, unbiased = compared(first, second)
    assert biased == pytest.approx(published.cka(first, second), abs=1e-9)
    expected = published.cka(first, second, published.unbiased_hsic)
    assert unbiased == pytest.approx(expected, abs=1e-9)


def test_blocks_change_nothing(monkeypatch):
    first, second = published.related(50, 30, 70)
    whole = compared(first, second)
    monkeypatch.setattr(spaces, "BLOCK", 7)
    assert compared(first, second) == pytest.approx(whole, abs=1e-12)


def test_a_space_agrees_wholly_with_itself_turned_scaled_and_moved():
    first, _ = published.related(40, 8, 3)
    turned = 3.7 * first @ published.rotation(8) + 11
    assert compared(first, turned) == pytest.approx((1, 1), abs=1e-9)


def test_turning_scaling_and_moving_either_space_changes_nothing():
    first, second = published.related(40, 8, 12)
    turned = 0.01 * second @ published.rotation(12) - 5
    assert compared(first, turned) == pytest.approx(compared(first, second), abs=1e-9)
    assert compared(second, first) == pytest.approx(compared(first, second), abs=1e-12)


def test_stretching_a_dimension_does_change_it():
    first, second = published.related(60, 8, 12)
    stretched = second * np.r_[30, np.ones(11)]
    assert compared(first, stretched)[0] < compared(first, second)[0] - 0.05


def test_unrelated_spaces_agree_by_nothing_but_bias():
    random = np.random.default_rng(0)
    found = [
        compared(random.normal(size=(60, 200)), random.normal(size=(60, 150))) for _ in range(30)
    ]
    biased, unbiased = np.mean(found, axis=0)
    assert biased > 0.6
    assert abs(unbiased) < 3 * np.std([each for _, each in found]) / 30**0.5 + 1e-3


def test_products_of_u_centred_kernels_are_the_unbiased_cka():
    first, second = published.related(30, 6, 50)
    product = (kernels.centred_gram(first) * kernels.centred_gram(second)).sum()
    assert product == pytest.approx(compared(first, second)[1], abs=1e-9)


def test_what_cannot_be_compared_is_refused():
    first, second = published.related(10, 4, 4)
    with pytest.raises(MetricError, match="3 clips, but at least 4"):
        Kernel.of(first[:3])
    with pytest.raises(MetricError, match="x: all 10 clips have the same vector"):
        Kernel.of(np.ones_like(first), name="x")
    with pytest.raises(MetricError, match="10 clips in one space and 9 in the other"):
        compared(first, second[:9])

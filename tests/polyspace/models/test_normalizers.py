import numpy as np
import pytest
import torch

from polyspace.errors import ConfigError
from polyspace.models.normalizers import Standardizer, Statistics, measure


def tokens(count, *, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(count, 4, 2, 5, generator=draw) + torch.tensor([0.0, 1, 10, 100, 1e4])


@pytest.mark.parametrize("sizes", [[13], [1] * 13, [7, 1, 5]], ids=["whole", "ones", "uneven"])
def test_statistics_equal_numpys_however_the_clips_are_cut(sizes):
    values = tokens(13)
    found = measure(values.split(sizes))
    flat = values.double().numpy().reshape(-1, 5)
    np.testing.assert_allclose(found.mean, flat.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.std, flat.std(0), rtol=1e-10)
    assert found.count == 13 * 4 * 2


def test_statistics_of_no_clips_are_refused():
    with pytest.raises(ConfigError, match="statistics of no clips"):
        measure([])


def test_standardised_features_have_mean_zero_and_deviation_one():
    values = tokens(50)
    done = Standardizer.of(measure([values]))(values).flatten(0, -2)
    torch.testing.assert_close(done.mean(0), torch.zeros(5), atol=1e-3, rtol=0)
    torch.testing.assert_close(done.std(0, correction=0), torch.ones(5), atol=1e-3, rtol=0)


def test_the_inverse_leads_back():
    values = tokens(6)
    normalizer = Standardizer.of(measure([values]))
    torch.testing.assert_close(normalizer.inverse(normalizer(values)), values)


def test_a_new_one_changes_nothing():
    values = tokens(2)
    assert torch.equal(Standardizer(5)(values), values)


def test_dimensions_that_hardly_vary_stay_small():
    values = torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
    values[:, 3] = 5 + 1e-6 * values[:, 3]
    done = Standardizer.of(measure([values]))(values)
    assert done[:, 3].abs().max() < 0.01
    assert done[:, 0].std().item() == pytest.approx(1, abs=0.01)


def test_features_that_never_vary_become_zeros_and_stay_finite():
    values = torch.full((10, 3), 7.0)
    normalizer = Standardizer.of(measure([values]))
    assert torch.equal(normalizer(values), torch.zeros(10, 3))
    assert torch.equal(normalizer.inverse(torch.zeros(10, 3)), values)


def test_it_has_nothing_to_train_and_is_saved_with_the_model():
    normalizer = Standardizer.of(Statistics(torch.ones(2).double(), torch.ones(2).double(), 1))
    assert list(normalizer.parameters()) == []
    assert set(normalizer.state_dict()) == {"mean", "std"}

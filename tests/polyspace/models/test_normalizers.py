from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from polyspace.errors import ConfigError
from polyspace.models.normalizers import (
    NormalizerKind,
    Standardizer,
    Statistics,
    blank,
    fit,
    measure,
    origin,
)

KINDS = get_args(NormalizerKind)


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


def features(dim=12, count=60, *, seed=0, spread=1.5):
    """Correlated features whose dimensions differ much in size, far from the origin."""
    draw = torch.Generator().manual_seed(seed)
    mixed = torch.randn(count, 3, dim, generator=draw) @ torch.randn(dim, dim, generator=draw)
    return mixed * torch.logspace(-spread, spread, dim) + 20 * torch.randn(dim, generator=draw)


def covariance(values):
    return torch.cov(values.flatten(0, -2).T.double(), correction=0)


@given(
    kind=some.sampled_from(KINDS),
    dim=some.sampled_from([1, 2, 4, 12, 20, 44]),
    spread=some.floats(0, 2),
    seed=some.integers(0, 1000),
)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_the_inverse_of_every_kind_leads_back(kind, dim, spread, seed):
    values = features(dim, seed=seed, spread=spread)
    normalizer = fit(kind, [values])
    back = normalizer.inverse(normalizer(values))
    size = float(values.abs().max())
    torch.testing.assert_close(back, values, rtol=0, atol=1e-5 * size)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_survives_its_state_and_has_nothing_to_train(kind):
    values = features()
    fitted, loaded = fit(kind, [values]), blank(kind, 12)
    loaded.load_state_dict(fitted.state_dict(), strict=True)
    assert torch.equal(loaded(values), fitted(values))
    assert list(fitted.parameters()) == []
    assert torch.equal(blank(kind, 12)(values), values)


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_depends_on_how_the_clips_are_cut(kind):
    values = features()
    whole, cut = fit(kind, [values]), fit(kind, values.split(7))
    torch.testing.assert_close(whole.mean, cut.mean)
    ours, theirs = (covariance(normalizer(values)).diagonal() for normalizer in (whole, cut))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"none"}))
def test_the_training_mean_lies_at_the_origin(kind):
    normalizer = fit(kind, [features()])
    assert not origin(normalizer).any()


def test_the_origin_of_unchanged_features_is_their_mean():
    values = features()
    torch.testing.assert_close(origin(fit("none", [values])), values.mean((0, 1)))


def test_isotropic_keeps_proportions_and_has_a_mean_variance_of_one():
    values = features()
    done = fit("isotropic", [values])(values)
    assert float(covariance(done).diagonal().mean()) == pytest.approx(1, abs=1e-4)
    ratio = covariance(values) / covariance(done)
    torch.testing.assert_close(ratio, ratio[0, 0].expand_as(ratio), rtol=1e-3, atol=0)


@pytest.mark.parametrize("dim", [12, 44, 192])
def test_phi_s_gives_every_dimension_a_variance_of_one_by_one_scalar(dim):
    values = features(dim, 300)
    normalizer = fit("phi_s", [values])
    done = normalizer(values)
    torch.testing.assert_close(
        covariance(done).diagonal(), torch.ones(dim).double(), rtol=1e-3, atol=1e-3
    )
    # One scalar and a rotation: distances keep their proportions.
    before, after = (torch.pdist(v.flatten(0, -2)[:30].double()) for v in (values, done))
    torch.testing.assert_close(before / after, (before / after)[0].expand(435), rtol=1e-4, atol=0)


def test_pca_whitening_without_shrinkage_gives_the_identity_as_covariance():
    values = features(spread=0)
    done = fit("pca_whitening", [values], shrinkage=0.0)(values)
    torch.testing.assert_close(covariance(done), torch.eye(12).double(), rtol=0, atol=1e-3)


def test_shrinkage_keeps_weak_components_weak():
    values = features(spread=0)
    own = torch.linalg.eigvalsh(covariance(values))
    found = torch.linalg.eigvalsh(
        covariance(fit("pca_whitening", [values], shrinkage=0.25)(values))
    )
    expected = own / (0.75 * own + 0.25 * own.mean())
    torch.testing.assert_close(found, expected.sort().values, rtol=1e-3, atol=1e-4)
    isotropic = fit("pca_whitening", [values], shrinkage=1.0)
    assert isinstance(isotropic.std, torch.Tensor)
    torch.testing.assert_close(isotropic.std, own.mean().sqrt().float().expand(12))


def test_phi_s_is_refused_where_no_hadamard_matrix_can_be_built():
    with pytest.raises(ConfigError, match=r"order 6 can be built here.* use --normalizer"):
        blank("phi_s", 6)
    with pytest.raises(ConfigError, match="order 6"):
        fit("phi_s", [features(6)])


@pytest.mark.parametrize("kind", KINDS)
def test_features_that_never_vary_stay_finite_under_every_kind(kind):
    values = torch.full((10, 3, 4), 7.0)
    normalizer = fit(kind, [values])
    assert normalizer(values).isfinite().all()
    torch.testing.assert_close(normalizer.inverse(normalizer(values)), values)


@pytest.mark.parametrize("kind", KINDS)
def test_features_stay_float32_under_autocast(kind):
    values = features()
    normalizer = fit(kind, [values])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(normalizer(values), normalizer(values.clone()))
        assert normalizer(values).dtype == torch.float32
        assert normalizer.inverse(values).dtype == torch.float32

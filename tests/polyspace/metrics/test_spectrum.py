import numpy as np
import pytest
from scipy import linalg

from polyspace.errors import MetricError
from polyspace.metrics import canonical, spectrum
from polyspace.metrics.spectrum import Spectrum, ranks
from tests.support import representations as published


def rankme(vectors):
    """Garrido et al. (arXiv 2210.02885), equations 2 and 3."""
    values = linalg.svdvals(vectors)
    p = values / np.abs(values).sum() + 1e-7
    return np.exp(-(p * np.log(p)).sum())


def effective_rank(vectors):
    """Roy & Vetterli (2007), definition 1."""
    values = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False)
    p = values[values > 1e-12] / values.sum()
    return np.exp(-(p * np.log(p)).sum())


@pytest.mark.parametrize(("clips", "dims"), [(60, 7), (20, 90), (2500, 12), (30, 30)])
def test_ranks_are_those_of_the_published_formulas(clips, dims):
    vectors, _ = published.related(clips, dims, 1, shared=3, noise=0.1)
    found = ranks(vectors)
    assert found.rankme == pytest.approx(rankme(vectors), rel=1e-6)
    assert found.effective_rank == pytest.approx(effective_rank(vectors), rel=1e-6)
    variances = linalg.eigvalsh(np.cov(vectors.T))
    expected = variances.sum() ** 2 / (variances**2).sum()
    assert found.participation_ratio == pytest.approx(expected, rel=1e-6)
    shares = np.sort(variances)[::-1].cumsum() / variances.sum()
    assert found.components == int((shares < 0.99).sum()) + 1
    assert found.clips == clips


def test_dimensions_that_are_alike_count_one_each_and_copies_count_nothing():
    # Rows of a Hadamard matrix without its constant column: exactly uncorrelated, of mean 0.
    vectors = linalg.hadamard(64)[:, 1:6].astype(float)
    found = ranks(vectors)
    assert found.effective_rank == pytest.approx(5)
    assert found.participation_ratio == pytest.approx(5)
    assert found.components == 5
    assert ranks(np.tile(vectors, 3)).effective_rank == pytest.approx(5)


def test_a_mean_is_a_direction_for_rankme_alone():
    vectors = linalg.hadamard(64)[:, 1:6].astype(float)
    moved = ranks(vectors + 100)
    assert moved.effective_rank == pytest.approx(5)
    assert moved.rankme < 2


def test_of_too_many_clips_and_dimensions_some_clips_are_solved(monkeypatch):
    monkeypatch.setattr(spectrum, "EXACT", 16)
    vectors, _ = published.related(200, 40, 1)
    found = ranks(vectors)
    assert found.clips == 16
    chosen = vectors[np.linspace(0, 199, 16).round().astype(int)]
    assert found.effective_rank == pytest.approx(effective_rank(chosen), rel=1e-6)
    assert ranks(vectors[:, :16]).clips == 200


def compared(first, second):
    return canonical.svcca(Spectrum.of(first), Spectrum.of(second))


@pytest.mark.parametrize("shape", [(200, 12, 20), (50, 90, 10)])
def test_svcca_is_the_mean_cosine_of_the_angles_between_kept_components(shape):
    first, second = published.related(*shape, noise=0.3)
    spans = []
    for vectors in (first, second):
        left, values, _ = linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
        kept = (np.cumsum(values**2) / (values**2).sum() < 0.99).sum() + 1
        spans.append(left[:, :kept])
    expected = np.cos(linalg.subspace_angles(*spans)).mean()
    assert compared(first, second) == pytest.approx(expected, abs=1e-6)


def test_svcca_is_one_for_the_same_space_and_blind_to_turning_scaling_and_moving():
    first, second = published.related(80, 6, 9)
    assert compared(first, first) == pytest.approx(1, abs=1e-9)
    turned = 5 * second @ published.rotation(9) + 3
    assert compared(first, turned) == pytest.approx(compared(first, second), abs=1e-9)


def test_chance_bounds_the_mean_of_shuffled_clips_closely():
    first, second = published.related(60, 15, 25, noise=2)
    random = np.random.default_rng(0)
    shuffled = [compared(first, random.permutation(second)) for _ in range(60)]
    bound = canonical.chance(Spectrum.of(first), Spectrum.of(second))
    assert 0.85 * bound < np.mean(shuffled) < bound
    assert compared(first, second) < 1


def test_more_components_than_clips_agree_by_chance_alone():
    random = np.random.default_rng(0)
    first, second = (Spectrum.of(random.normal(size=(20, 50))) for _ in range(2))
    assert canonical.chance(first, second) == pytest.approx((first.kept / 19) ** 0.5)
    assert canonical.svcca(first, second) > 0.9


def test_what_cannot_be_decomposed_is_refused():
    with pytest.raises(MetricError, match="x: 1 clips, but at least 2"):
        ranks(np.ones((1, 3)), name="x")
    with pytest.raises(MetricError, match="x: all 9 clips have the same vector"):
        Spectrum.of(np.ones((9, 3)), name="x")
    first, second = published.related(9, 3, 3)
    with pytest.raises(MetricError, match="9 clips in one space and 8 in the other"):
        compared(first, second[:8])

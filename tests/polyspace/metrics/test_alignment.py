import pytest
import torch
from sklearn.metrics import r2_score

from polyspace.metrics.alignment import measure

DIM = 6


def measured(pairs, mean, std):
    """Measure pairs of standardised features."""
    return measure(pairs, origin=torch.zeros(DIM), inverse=lambda values: values * std + mean)


@pytest.fixture
def tokens():
    """Standardised true tokens of 30 clips on a small grid, with a teacher's mean and deviation."""
    draw = torch.Generator().manual_seed(0)
    true = torch.randn(30, 2, 3, DIM, generator=draw)
    return true, torch.full((DIM,), 5.0), torch.rand(DIM, generator=draw) + 0.5


def test_a_perfect_translation_scores_one_throughout(tokens):
    true, mean, std = tokens
    found = measured([(true.clone(), true)], mean, std)
    assert found.r2 == 1
    assert found.cosine == pytest.approx(1, abs=1e-6)
    assert found.centred_cosine == pytest.approx(1, abs=1e-6)


def test_the_mean_predictor_explains_nothing_however_high_its_raw_cosine(tokens):
    true, mean, std = tokens
    found = measured([(torch.zeros_like(true), true)], mean, std)
    assert found.r2 == 0
    assert found.centred_cosine == 0
    assert found.cosine > 0.95


def test_opposite_vectors_have_a_centred_cosine_of_minus_one(tokens):
    true, mean, std = tokens
    found = measured([(-true, true)], mean, std)
    assert found.centred_cosine == pytest.approx(-1, abs=1e-6)
    assert found.r2 == pytest.approx(-3)


def test_shrinking_costs_explained_variance_but_no_direction(tokens):
    true, mean, std = tokens
    found = measured([(0.5 * true, true)], mean, std)
    assert found.r2 == pytest.approx(0.75)
    assert found.centred_cosine == pytest.approx(1, abs=1e-6)


def test_explained_variance_is_scikit_learns_where_the_test_mean_is_the_training_mean(tokens):
    true, mean, std = tokens
    true = true - true.flatten(0, -2).mean(0)
    translated = 0.7 * true + 0.2 * torch.randn(true.shape, generator=torch.Generator())
    expected = r2_score(
        true.flatten(0, -2).double(),
        translated.flatten(0, -2).double(),
        multioutput="variance_weighted",
    )
    assert measured([(translated, true)], mean, std).r2 == pytest.approx(expected, abs=1e-5)


def test_the_result_does_not_depend_on_how_clips_are_batched(tokens):
    true, mean, std = tokens
    translated = true + 0.3
    whole = measured([(translated, true)], mean, std)
    parts = measured(zip(translated.split(7), true.split(7), strict=True), mean, std)
    assert parts.r2 == pytest.approx(whole.r2)
    assert parts.cosine == pytest.approx(whole.cosine)
    assert parts.centred_cosine == pytest.approx(whole.centred_cosine)


def test_the_teachers_own_space_weighs_dimensions_by_their_variance(tokens):
    true, mean, _ = tokens
    std = torch.tensor([3.0, 1, 1, 1, 1, 1])
    translated = true.clone()
    translated[..., 0] = 0
    found = measured([(translated, true)], mean, std)
    shares = true.square().flatten(0, -2).sum(0)
    assert found.r2 == pytest.approx(1 - float(shares[0] / shares.sum()), abs=1e-6)
    own = shares * std**2
    assert found.r2_own == pytest.approx(1 - float(own[0] / own.sum()), abs=1e-6)
    assert found.centred_cosine_own < found.centred_cosine


def test_both_spaces_are_one_where_nothing_was_normalised(tokens):
    true, mean, _ = tokens
    true = true + mean
    translated = true + 0.3 * torch.randn(true.shape, generator=torch.Generator().manual_seed(1))
    found = measure([(translated, true)], origin=mean, inverse=lambda values: values)
    assert found.r2 == found.r2_own
    assert found.r2 == pytest.approx(0.91, abs=0.02)
    assert found.centred_cosine == found.centred_cosine_own < found.cosine
    of_the_mean = measure(
        [(mean.expand_as(true), true)], origin=mean, inverse=lambda values: values
    )
    assert (of_the_mean.r2, of_the_mean.centred_cosine) == (0, 0)

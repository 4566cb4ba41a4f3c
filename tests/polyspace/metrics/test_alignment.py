import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score

from polyspace.errors import MetricError
from polyspace.metrics.alignment import collect, measure

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


@pytest.fixture
def translation():
    """Sixty clips whose true tokens have the training mean, and what became of them."""
    draw = torch.Generator().manual_seed(3)
    true = torch.randn(60, 2, 3, DIM, generator=draw)
    true -= true.flatten(0, -2).mean(0)
    noise = torch.linspace(0.1, 1.5, DIM) * torch.randn(true.shape, generator=draw)
    return 0.8 * true + noise, true


def flat(tokens):
    return tokens.flatten(0, -2).double().numpy()


def collected(pairs, **labelled):
    return collect(pairs, origin=torch.zeros(DIM), inverse=lambda values: 2 * values, **labelled)


def test_each_dimensions_explained_variance_is_scikit_learns(translation):
    translated, true = translation
    found = collected([translation])
    expected = np.asarray(r2_score(flat(true), flat(translated), multioutput="raw_values"))
    np.testing.assert_allclose(found.normalised.per_dimension, expected, atol=1e-6)
    np.testing.assert_allclose(found.own.per_dimension, expected, atol=1e-6)
    spread = found.alignment.dimensions
    assert (spread.r2[0], spread.r2[-1]) == pytest.approx((expected.min(), expected.max()))
    assert len(spread.r2) == 21
    assert spread.r2[10] == pytest.approx(np.median(expected))
    assert spread.below_mean == (expected < 0).mean() > 0


def test_dimensions_that_never_vary_are_counted_and_left_out(translation):
    translated, true = (values.clone() for values in translation)
    translated[..., 2], true[..., 2] = 0, 0
    found = collected([(translated, true)])
    assert found.alignment.dimensions.constant == 1
    assert np.flatnonzero(np.isnan(found.normalised.per_dimension)).tolist() == [2]
    assert np.isfinite(found.alignment.dimensions.r2).all()


def test_classes_are_measured_as_if_each_were_alone(translation):
    translated, true = translation
    labels = np.random.default_rng(0).integers(0, 3, size=60)
    labels[labels == 1] = 3
    parts = zip(translated.split(7), true.split(7), strict=True)
    found = collected(parts, labels=labels, classes=4).alignment.classes
    for label in (0, 2, 3):
        alone = collected([(translated[labels == label], true[labels == label])]).alignment
        assert found[label].clips == (labels == label).sum()
        assert found[label].r2 == pytest.approx(alone.r2)
        assert found[label].centred_cosine == pytest.approx(alone.centred_cosine)
    assert asdict(found[1]) == {"clips": 0, "r2": None, "centred_cosine": None}


def test_labels_change_nothing_else_and_all_of_it_can_be_written(translation):
    labels = np.arange(60) % 5
    with_labels = asdict(collected([translation], labels=labels, classes=5).alignment)
    without = asdict(collected([translation]).alignment)
    assert without["classes"] == ()
    json.dumps(with_labels, allow_nan=False)
    assert with_labels | {"classes": ()} == without


def test_labels_of_other_clips_are_refused(translation):
    for clips in (59, 61):
        with pytest.raises(MetricError, match=f"labels of {clips} clips and features of 60"):
            collected([translation], labels=np.zeros(clips, np.int64), classes=1)


def test_what_has_no_agreement_is_refused(translation):
    translated, true = translation
    broken = translated.clone()
    broken[3, 0, 0, 1] = float("nan")
    with pytest.raises(MetricError, match="1 of 6 dimensions hold values that are not numbers"):
        collected([(broken, true)])
    with pytest.raises(MetricError, match="no clips"):
        collected([])
    with pytest.raises(MetricError, match="all 60 clips are the training mean"):
        collected([(translated, torch.zeros_like(true))])

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from polyspace.engine import checkpoint
from polyspace.errors import DatasetError
from polyspace.models.converters import Translator
from polyspace.train import probes
from polyspace.train.batches import divide
from polyspace.train.probes import Examples


def clouds(count, *, classes=3, seed=0):
    """Clips of separable classes around random centres; the centres are the same for all seeds."""
    centres = np.random.default_rng(9).normal(0, 2, (classes, 6))
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    values = centres[labels] + random.normal(0, 1, (count, 6))
    return Examples(torch.from_numpy(values.astype(np.float32)), labels)


def test_the_nearest_vote_as_scikit_learn_lets_them():
    known, asked = clouds(90), clouds(40, seed=1)
    said = probes.nearest(known, classes=3)(asked.vectors).exp()
    peer = KNeighborsClassifier(
        probes.NEIGHBOURS,
        metric="cosine",
        algorithm="brute",
        weights=lambda distance: np.exp(  # pyright: ignore[reportArgumentType]
            (1 - distance) / probes.TEMPERATURE
        ),
    ).fit(known.vectors.numpy(), known.labels)
    expected = peer.predict_proba(asked.vectors.numpy())
    np.testing.assert_allclose(said / said.sum(-1, keepdim=True), expected, atol=1e-5)


def test_votes_do_not_depend_on_how_clips_are_cut_into_blocks(monkeypatch):
    known, asked = clouds(60), clouds(11, seed=1)
    whole = probes.nearest(known, classes=3)(asked.vectors)
    monkeypatch.setattr(probes, "BLOCK", 4)
    torch.testing.assert_close(probes.nearest(known, classes=3)(asked.vectors), whole)


def test_fewer_clips_than_votes_are_refused_with_both_numbers():
    with pytest.raises(
        DatasetError, match=r"20 nearest neighbours vote, but there are only 12 training"
    ):
        probes.nearest(clouds(12), classes=3)


def test_the_hold_out_chooses_the_strength_of_the_linear_probe():
    known, held, asked = clouds(60), clouds(30, seed=1), clouds(40, seed=2)
    said = probes.linear(known, held, classes=3)(asked.vectors).numpy()
    mean, std = known.vectors.numpy().mean(0), known.vectors.numpy().std(0)
    scaled = {e: (e.vectors.numpy() - mean) / std for e in (known, held, asked)}

    def fitted(strength):
        model = LogisticRegression(C=strength, max_iter=1000, tol=1e-3)
        return model.fit(scaled[known], known.labels)

    def likelihood(model):
        chances = model.predict_log_proba(scaled[held])
        return chances[np.arange(30), held.labels].mean()

    best = max(map(fitted, probes.STRENGTHS), key=likelihood)
    np.testing.assert_allclose(np.exp(said), best.predict_proba(scaled[asked]), atol=2e-3)


def test_a_class_that_nobody_was_fitted_for_has_the_lowest_chance():
    said = probes.linear(clouds(60), clouds(30, seed=1), classes=5)(clouds(8, seed=2).vectors)
    assert said.shape == (8, 5)
    assert (said[:, 3:] < -80).all()
    assert torch.isfinite(said).all()


def test_one_class_is_refused():
    known = Examples(torch.randn(30, 4), np.zeros(30, np.int64))
    with pytest.raises(DatasetError, match="found one class"):
        probes.linear(known, known, classes=2)


def test_vectors_are_means_of_standardised_tokens(train, converters):
    translator = Translator.from_record(checkpoint.load(converters, "converters"))
    rows = np.arange(5)
    found = probes.vectors(translator, "look", train, rows)
    tokens = translator["look"].teacher(train.tokens("look", rows))
    torch.testing.assert_close(found, tokens.mean(dim=(1, 2)))


def test_probes_are_fitted_on_the_rows_that_converters_were_and_selected_on_the_others(
    train, converters
):
    translator = Translator.from_record(checkpoint.load(converters, "converters"))
    division = divide(train, train.rows(("stu",)), share=0.2, seed=0)
    known, held = probes.examples(translator, "stu", train, division)
    assert known.labels.tolist() == train.labels[division.fit].tolist()
    assert held.labels.tolist() == train.labels[division.held].tolist()

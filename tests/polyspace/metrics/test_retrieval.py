import numpy as np
import pytest
from scipy import stats

from polyspace.errors import MetricError
from polyspace.metrics import spaces
from polyspace.metrics.retrieval import retrieve
from tests.support import representations as published


@pytest.mark.parametrize("block", [4, 1024])
def test_ranks_are_those_of_the_cosines(monkeypatch, block):
    monkeypatch.setattr(spaces, "BLOCK", block)
    translated, true = published.related(50, 6, 6, noise=0.5)
    translated = true + 0.8 * translated
    units = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in (translated, true)]
    ranks = np.diagonal(stats.rankdata(-(units[0] @ units[1].T), axis=1))
    found = retrieve(translated, true)
    assert 0 < found.top1 < 1
    assert found.top1 == (ranks == 1).mean()
    assert found.top5 == (ranks <= 5).mean()
    assert found.mean_rank == ranks.mean()
    assert found.median_rank == np.median(ranks)
    assert found.clips == 50


def test_a_perfect_translation_finds_everybody_whatever_its_length():
    true = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)
    found = retrieve(true * 3, true)
    assert (found.top1, found.top5, found.mean_rank, found.median_rank) == (1, 1, 1, 1)


def test_opposite_translations_are_last():
    true = np.random.default_rng(0).normal(size=(30, 8))
    assert retrieve(-true, true).mean_rank == 30


def test_the_mean_predictor_ranks_by_chance():
    true = np.random.default_rng(0).normal(size=(99, 8))
    found = retrieve(np.ones((99, 8)), true)
    assert found.mean_rank == 50
    assert found.top1 == pytest.approx(1 / 99)


def test_true_features_that_are_all_alike_are_nobodys():
    translated = np.random.default_rng(0).normal(size=(9, 3))
    found = retrieve(translated, np.ones((9, 3)))
    assert (found.top1, found.mean_rank) == (0, 9)


def test_what_cannot_be_ranked_is_refused():
    vectors = np.random.default_rng(0).normal(size=(9, 3))
    with pytest.raises(MetricError, match="9 clips in one space and 8 in the other"):
        retrieve(vectors, vectors[:8])
    with pytest.raises(MetricError, match="translated: 5 clips, but at least 6"):
        retrieve(vectors[:5], vectors[:5])
    with pytest.raises(MetricError, match="true: the vectors of 9 of 9 clips"):
        retrieve(vectors, vectors * np.nan)

import numpy as np
import pytest
from scipy import stats

from polyspace.metrics import kernels, neighbours, permutation
from tests.support import representations as published


def of_kernels(first, second, *, permutations=100, seed=0):
    grams = (kernels.centred_gram(each) for each in (first, second))
    random = np.random.default_rng(seed)
    return permutation.of_kernels(*grams, permutations=permutations, random=random)


def of_neighbours(first, second, *, k=5, permutations=100, seed=0):
    lists = (neighbours.nearest(each, k=k) for each in (first, second))
    random = np.random.default_rng(seed)
    mutual, local = permutation.of_neighbours(*lists, permutations=permutations, random=random)
    assert local is not None
    return mutual, local


def test_a_null_says_how_many_were_as_high_with_one_for_what_was_found():
    found = permutation.null(0.5, [0.1, 0.5, 0.9, 0.2], clips=7)
    assert (found.mean, found.p, found.permutations, found.clips) == (0.425, 3 / 5, 4, 7)
    assert found.p95 == np.percentile([0.1, 0.5, 0.9, 0.2], 95)


def test_shuffling_kernels_is_shuffling_clips():
    first, second = published.related(25, 5, 7)
    random = np.random.default_rng(3)
    by_chance = []
    for _ in range(20):
        shuffled = second[random.permutation(25)]
        by_chance.append(published.cka(first, shuffled, published.unbiased_hsic))
    found = of_kernels(first, second, permutations=20, seed=3)
    assert (found.mean, found.p95) == pytest.approx(
        (np.mean(by_chance), np.percentile(by_chance, 95)), abs=1e-9
    )


def test_shuffling_neighbours_is_shuffling_clips():
    first, second = published.related(25, 5, 7)
    random = np.random.default_rng(3)
    orders = [random.permutation(25) for _ in range(20)]
    mutual, local = of_neighbours(first, second, permutations=20, seed=3)
    shuffled = [second[order] for order in orders]
    assert mutual.mean == pytest.approx(
        np.mean([published.mutual_knn(first, each, 5) for each in shuffled])
    )
    assert local.mean == pytest.approx(
        np.mean([published.cknna(first, each, 5) for each in shuffled])
    )


def test_related_spaces_are_beyond_every_shuffle():
    first, second = published.related(60, 6, 9, noise=0.3)
    for found in (of_kernels(first, second), *of_neighbours(first, second)):
        assert found.p == pytest.approx(1 / 101)


def test_p_values_of_unrelated_spaces_are_even():
    random = np.random.default_rng(1)
    p_values = []
    for seed in range(40):
        first, second = random.normal(size=(30, 5)), random.normal(size=(30, 8))
        found = (
            of_kernels(first, second, permutations=29, seed=seed),
            of_neighbours(first, second, permutations=29, seed=seed)[1],
        )
        p_values.append([each.p for each in found])
    for kind in np.transpose(p_values):
        assert stats.kstest(kind, "uniform").pvalue > 0.01


def test_the_chance_of_shared_neighbours_is_known():
    first, second = published.related(80, 6, 9)
    mutual, _ = of_neighbours(first, second, k=8, permutations=200)
    assert mutual.mean == pytest.approx(8 / 79, abs=0.002)
    assert mutual.clips == 80


def test_where_cknna_has_no_value_it_has_no_chance_either():
    lists = neighbours.nearest(np.eye(10), k=3), neighbours.nearest(np.eye(10)[::-1], k=3)
    random = np.random.default_rng(0)
    mutual, local = permutation.of_neighbours(*lists, permutations=5, random=random)
    assert mutual.permutations == 5
    assert local is None

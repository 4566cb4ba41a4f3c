import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from polyspace.errors import MetricError
from polyspace.metrics import spaces
from polyspace.metrics.neighbours import both, cknna, mutual_knn, nearest
from tests.support import representations as published


def compared(first, second, k):
    return both(nearest(first, k=k), nearest(second, k=k))


@pytest.mark.parametrize("block", [3, 1024])
def test_neighbours_are_those_of_scikit_learn(monkeypatch, block):
    monkeypatch.setattr(spaces, "BLOCK", block)
    vectors, _ = published.related(70, 9, 1)
    found = nearest(vectors, k=5)
    theirs = NearestNeighbors(n_neighbors=5, metric="cosine").fit(vectors)
    distances, places = theirs.kneighbors()
    np.testing.assert_array_equal(np.sort(found.places, axis=1), np.sort(places, axis=1))
    np.testing.assert_allclose(np.sort(1 - found.cosines, axis=1), distances, atol=1e-9)


@pytest.mark.parametrize("k", [2, 5, 10, 39])
@pytest.mark.parametrize("shape", [(40, 6, 11), (40, 90, 4)])
def test_alignment_is_the_published_formula_without_its_kernels(shape, k):
    first, second = published.related(*shape, noise=0.5)
    mutual, local = compared(first, second, k)
    assert mutual == pytest.approx(published.mutual_knn(first, second, k), abs=1e-9)
    assert local == pytest.approx(published.cknna(first, second, k), abs=1e-9)
    lists = nearest(first, k=k), nearest(second, k=k)
    assert (mutual_knn(*lists), cknna(*lists)) == (mutual, local)


def test_a_space_agrees_wholly_with_itself_turned_and_scaled():
    first, _ = published.related(60, 8, 1)
    assert compared(first, 3 * first @ published.rotation(8), 10) == pytest.approx((1, 1), abs=1e-9)


def test_every_clip_being_a_neighbour_makes_it_the_unbiased_cka_of_cosines():
    first, second = published.related(30, 5, 8)
    one, other = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (first, second))
    mutual, local = compared(first, second, 29)
    assert mutual == 1
    assert local == pytest.approx(published.cka(one, other, published.unbiased_hsic), abs=1e-9)


def test_unrelated_spaces_share_neighbours_as_often_as_chance_has_it():
    random = np.random.default_rng(0)
    found = [
        compared(random.normal(size=(101, 12)), random.normal(size=(101, 7)), 10)[0]
        for _ in range(40)
    ]
    assert np.mean(found) == pytest.approx(0.1, abs=0.006)


def test_shuffling_moves_clips_and_the_neighbours_they_have():
    first, second = published.related(50, 6, 6)
    order = np.random.default_rng(0).permutation(50)
    shuffled = nearest(second, k=6).shuffled(order)
    again = nearest(second[order], k=6)
    np.testing.assert_array_equal(np.sort(shuffled.places), np.sort(again.places))
    assert shuffled.own == pytest.approx(again.own)
    assert both(nearest(first, k=6), shuffled) == pytest.approx(compared(first, second[order], 6))


def test_vectors_of_nothing_have_a_cosine_of_zero():
    vectors, _ = published.related(20, 5, 1)
    vectors[3] = 0
    found = nearest(vectors, k=4)
    assert (found.cosines[3] == 0).all()


def test_what_cannot_be_compared_is_refused():
    first, second = published.related(10, 4, 4)
    with pytest.raises(MetricError, match=r"x: 10 clips, but at least 11 are needed.*smaller k"):
        nearest(first, k=10, name="x")
    with pytest.raises(MetricError, match="same clips with the same k"):
        both(nearest(first, k=2), nearest(second, k=3))
    with pytest.raises(MetricError, match="1 of 10 clips hold values that are not numbers"):
        nearest(np.where(np.arange(10)[:, None] == 3, np.nan, first), k=2)


def test_a_space_where_nothing_is_near_has_no_alignment_to_divide_by():
    lists = nearest(np.eye(10), k=3)
    assert lists.own == 0
    with pytest.raises(MetricError, match=r"CKNNA of 10 clips, k=3.*don't even agree"):
        cknna(lists, lists)
    assert both(lists, lists) == (1, None)

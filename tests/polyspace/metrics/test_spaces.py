import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyspace.errors import MetricError
from polyspace.metrics import spaces


@pytest.mark.parametrize("shape", [(40, 7), (7, 40), (30, 30)])
@pytest.mark.parametrize("block", [1, 5, 1024])
def test_products_of_dimensions_are_those_of_the_centred_vectors(monkeypatch, shape, block):
    monkeypatch.setattr(spaces, "BLOCK", block)
    random = np.random.default_rng(0)
    first, second = random.normal(size=shape) + 9, random.normal(size=(shape[0], 3))
    parts = list(spaces.cross(first, second))
    whole = np.concatenate([product for _, product in parts])
    expected = (first - first.mean(axis=0)).T @ (second - second.mean(axis=0))
    np.testing.assert_allclose(whole, expected, atol=1e-10)
    assert [part.start for part, _ in parts] == list(range(0, shape[1], block))


def test_sums_are_those_of_float64_though_vectors_are_float32():
    random = np.random.default_rng(0)
    vectors = (random.normal(size=(5000, 4)) + 1000).astype(np.float32)
    (_, product), *_ = spaces.cross(vectors, vectors)
    np.testing.assert_allclose(product / 4999, np.cov(vectors.astype(np.float64).T), rtol=1e-9)


@pytest.mark.parametrize("dims", [3, 20, 21, 55, 400])
def test_a_wide_space_is_rotated_into_as_many_dimensions_as_clips(dims):
    vectors = np.random.default_rng(0).normal(size=(20, dims))
    compact = spaces.compact(vectors)
    assert compact.shape == (20, min(dims, 20))
    np.testing.assert_allclose(compact @ compact.T, vectors @ vectors.T, atol=1e-10)


@pytest.mark.parametrize("rows", [1, 3, 8, 16, 200])
def test_the_triangle_has_the_products_of_all_rows(rows):
    vectors = np.random.default_rng(0).normal(size=(rows, 8))
    upper = spaces.triangle(vectors[part] for part in spaces.blocks(rows, 5))
    assert len(upper) == min(rows, 8)
    np.testing.assert_allclose(upper.T @ upper, vectors.T @ vectors, atol=1e-10)


@given(st.integers(1, 300), st.integers(1, 300))
def test_clips_are_chosen_evenly_from_the_first_to_the_last(clips, most):
    chosen = spaces.spread(clips, most)
    assert len(chosen) == len(set(chosen)) == min(clips, most)
    assert chosen[0] == 0
    if len(chosen) > 1:
        assert chosen[-1] == clips - 1
        assert np.ptp(np.diff(chosen)) <= 1


def test_numbers_that_are_none_are_counted_by_clip():
    vectors = np.random.default_rng(0).normal(size=(9, 3))
    vectors[2, :2], vectors[5, 1] = np.nan, np.inf
    with pytest.raises(MetricError, match=r"^videomae: the vectors of 2 of 9 clips hold values"):
        spaces.check(vectors, least=2, name="videomae")


def test_too_few_clips_are_told_how_many_it_takes():
    with pytest.raises(MetricError, match=r"videomae: 9 clips, but at least 11 are needed"):
        spaces.check(np.ones((9, 3)), least=11, name="videomae")


@pytest.mark.parametrize("noise", [0.0, 1e-7])
def test_the_same_vector_for_all_clips_is_a_collapse_in_spite_of_rounding(noise):
    random = np.random.default_rng(0)
    vectors = (random.normal(size=8) + noise * random.normal(size=(30, 8))).astype(np.float32)
    with pytest.raises(MetricError, match=r"all 30 clips have the same vector.*collapsed"):
        spaces.check(vectors, least=2)
    spaces.check(vectors + 1e-3 * random.normal(size=(30, 8)), least=2)


def test_other_clips_are_refused():
    with pytest.raises(MetricError, match=r"4 clips in one space and 5 in the other"):
        spaces.check_pair(np.ones((4, 2)), np.ones((5, 3)))

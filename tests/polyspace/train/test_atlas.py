import json
from dataclasses import asdict
from itertools import combinations

import numpy as np
import pytest

from polyspace.errors import MetricError
from polyspace.metrics import kernels, neighbours, spectrum
from polyspace.report.records.atlas import Atlas
from polyspace.train import atlas
from tests.support import representations as published


@pytest.fixture
def vectors():
    """A student, a teacher that sees the same causes, and a third that sees others."""
    student, teacher = published.related(60, 12, 90, noise=0.4)
    other, _ = published.related(60, 8, 1, seed=1)
    return {
        name: each.astype(np.float32)
        for name, each in {"student": student, "teacher": teacher, "other": other}.items()
    }


def measured(vectors, **settings):
    return atlas.measure(vectors, **{"k": 5, "permutations": 40, "seed": 0} | settings)


def test_every_space_and_every_two_are_measured_once(vectors):
    found = measured(vectors)
    assert [space.name for space in found.spaces] == list(vectors)
    assert [space.dims for space in found.spaces] == [12, 90, 8]
    assert [(pair.first, pair.second) for pair in found.pairs] == list(combinations(vectors, 2))
    assert (found.clips, found.k, found.permutations, found.gaps) == (60, 5, 40, {})


def test_figures_are_those_of_the_metrics(vectors):
    pair, *_ = measured(vectors).pairs
    one, two = (vectors[name].astype(np.float64) for name in (pair.first, pair.second))
    assert pair.cka == pytest.approx(published.cka(one, two), abs=1e-6)
    expected = published.cka(one, two, published.unbiased_hsic)
    assert pair.unbiased_cka.value == pytest.approx(expected, abs=1e-6)
    assert pair.mutual_knn.value == pytest.approx(published.mutual_knn(one, two, 5), abs=1e-6)
    assert pair.cknna is not None
    assert pair.cknna.value == pytest.approx(published.cknna(one, two, 5), abs=1e-6)
    ranks = asdict(measured(vectors).spaces[1].ranks)
    assert ranks == pytest.approx(asdict(spectrum.ranks(vectors["teacher"])))


def test_spaces_that_see_the_same_are_told_from_chance_and_others_are_not(vectors):
    same, *others = measured(vectors).pairs
    for figure in (same.unbiased_cka, same.mutual_knn, same.cknna):
        assert figure is not None
        assert figure.chance.p == pytest.approx(1 / 41)
        assert figure.value > figure.chance.p95
    assert same.svcca.value > same.svcca.chance
    for other in others:
        assert other.unbiased_cka.chance.p > 1 / 41
        assert other.mutual_knn.value < 0.2


def test_neighbours_are_looked_for_once_a_space(vectors, monkeypatch):
    seen = []

    def counted(*args, **settings):
        seen.append(settings["name"])
        return nearest(*args, **settings)

    nearest = neighbours.nearest
    monkeypatch.setattr(neighbours, "nearest", counted)
    measured(vectors)
    assert seen == list(vectors)


def test_the_seed_decides_the_shuffles_and_nothing_else(vectors):
    again = measured(vectors)
    assert again == measured(vectors)
    other = measured(vectors, seed=1)
    assert other.pairs[0].cka == again.pairs[0].cka
    assert other.pairs[0].mutual_knn.chance != again.pairs[0].mutual_knn.chance


def test_it_is_read_back_from_its_json(vectors):
    found = measured(vectors)
    text = json.dumps(asdict(found), allow_nan=False)
    read = Atlas.model_validate_json(text)
    assert read.pairs[0].unbiased_cka.chance.p == found.pairs[0].unbiased_cka.chance.p
    assert json.loads(read.model_dump_json()) == json.loads(text)


def test_a_collapsed_space_is_a_gap_that_says_so(vectors):
    found = measured(vectors | {"translated:teacher": np.ones((60, 4), np.float32)})
    assert found.gaps == {
        "translated:teacher": "all 60 clips have the same vector: it has collapsed"
    }
    assert len(found.pairs) == 3


def test_a_space_where_nothing_is_near_is_a_gap_in_one_figure(vectors):
    found = measured({"student": vectors["student"], "names": np.eye(60, dtype=np.float32)})
    (pair,) = found.pairs
    assert pair.cknna is None
    assert list(found.gaps) == ["student and names"]
    assert "CKNNA of 60 clips, k=5" in found.gaps["student and names"]
    assert json.dumps(asdict(found), allow_nan=False)


def test_one_space_alone_and_none_that_varies_have_no_pairs(vectors):
    assert measured({"student": vectors["student"]}).pairs == ()
    flat = {"a": np.ones((9, 2)), "b": np.zeros((9, 3))}
    found = measured(flat)
    assert (found.spaces, found.pairs, list(found.gaps)) == ((), (), ["a", "b"])


def test_where_one_space_is_too_large_to_be_solved_whole_all_use_the_same_clips(
    vectors, monkeypatch
):
    monkeypatch.setattr(spectrum, "EXACT", 20)
    found = measured(vectors)
    assert {pair.svcca.clips for pair in found.pairs} == {20}
    assert {space.ranks.clips for space in found.spaces} == {20}


def test_chance_of_the_cka_shuffles_few_clips(vectors, monkeypatch):
    monkeypatch.setattr(atlas, "SHUFFLED", 30)
    pair, *_ = measured(vectors).pairs
    assert pair.unbiased_cka.chance.clips == 30
    assert pair.mutual_knn.chance.clips == 60
    whole = kernels.cka(*(kernels.Kernel.of(vectors[each]) for each in ("student", "teacher")))
    assert pair.unbiased_cka.value == pytest.approx(whole[1])


def test_what_cannot_be_compared_is_refused(vectors):
    with pytest.raises(MetricError, match=r"spaces of the same clips.*student 60, short 59"):
        measured({"student": vectors["student"], "short": vectors["teacher"][:59]})
    with pytest.raises(MetricError, match="student: 60 clips, but at least 61 are needed"):
        measured(vectors, k=60)
    broken = vectors["other"].copy()
    broken[7] = np.nan
    with pytest.raises(MetricError, match="broken: the vectors of 1 of 60 clips hold values"):
        measured(vectors | {"broken": broken})
    with pytest.raises(MetricError, match="clips are: there are none"):
        measured({})

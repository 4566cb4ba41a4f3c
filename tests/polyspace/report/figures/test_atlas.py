import numpy as np
import pytest
from matplotlib.patches import Rectangle

from polyspace.report.figures import atlas, canvas
from polyspace.report.records.atlas import Atlas


def record(count, p=0.001, **pair):
    """Give an atlas of so many spaces, all of whose pairs are alike."""
    names = [f"space {place}" for place in range(count)]
    chance = {"mean": 0.0, "p95": 0.1, "p": p, "permutations": 100, "clips": 60}
    figures = {
        "cka": 0.5,
        "unbiased_cka": {"value": 0.42, "chance": chance},
        "svcca": {"value": 0.9, "chance": 0.4, "clips": 60},
        "mutual_knn": {"value": 0.7, "chance": chance},
        "cknna": None,
    }
    ranks = {name: 3.0 for name in ("rankme", "effective_rank", "participation_ratio")}
    content = {
        "clips": 60,
        "k": 5,
        "permutations": 100,
        "seed": 0,
        "gaps": {},
        "spaces": [
            {"name": name, "dims": 4, "ranks": ranks | {"components": 3, "clips": 60}}
            for name in names
        ],
        "pairs": [
            {"first": first, "second": second} | figures | pair
            for place, first in enumerate(names)
            for second in names[place + 1 :]
        ],
    }
    return Atlas.model_validate(content)


def written(axes):
    return [text.get_text() for text in axes.texts]


def hatched(axes):
    return [patch for patch in axes.patches if isinstance(patch, Rectangle) and patch.get_hatch()]


def test_both_figures_of_every_two_spaces_are_written_both_ways():
    whole, near = atlas.draw(record(3)).axes
    assert written(whole) == ["0.42"] * 6
    assert written(near) == ["0.70"] * 6
    assert not hatched(whole)
    assert "5 nearest clips" in near.get_title("left")
    assert [label.get_text() for label in whole.get_yticklabels()] == [
        "space 0",
        "space 1",
        "space 2",
    ]


def test_what_is_no_more_than_chance_is_in_brackets_and_hatched():
    below = {"value": -0.02, "chance": {"mean": 0, "p95": 0, "p": 1, "permutations": 9, "clips": 9}}
    whole, near = atlas.draw(record(2, unbiased_cka=below)).axes
    assert written(whole) == ["(\N{MINUS SIGN}0.02)"] * 2
    assert len(hatched(whole)) == 2
    assert written(near) == ["0.70"] * 2
    assert not hatched(near)


def test_many_spaces_are_coloured_without_numbers_and_names():
    whole, _ = atlas.draw(record(30)).axes
    assert written(whole) == []
    assert whole.get_xticklabels() == []


@pytest.mark.parametrize("figure", ["unbiased_cka", "mutual_knn"])
def test_tables_are_symmetric_and_empty_where_a_space_meets_itself(figure):
    table = atlas.values(record(4), figure)
    np.testing.assert_array_equal(table, table.T)
    assert np.isnan(np.diagonal(table)).all()
    assert np.isfinite(table[~np.eye(4, dtype=bool)]).all()


def test_a_figure_that_has_no_value_leaves_its_cells_empty():
    assert np.isnan(atlas.values(record(3), "cknna")).all()


@pytest.mark.parametrize("count", [1, 2])
def test_few_spaces_are_drawn_too(count):
    assert canvas.png(atlas.draw(record(count)))[:4] == b"\x89PNG"

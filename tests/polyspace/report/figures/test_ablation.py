import numpy as np
import pytest

from polyspace.report.figures import ablation, canvas
from tests.support.ablations import ablated


def dots(axes):
    """Where values stand, and whether they are filled."""
    found = (line for line in axes.lines if line.get_marker() == "o" and np.size(line.get_xdata()))
    return {float(line.get_xdata()[0]): line.get_markerfacecolor() != "white" for line in found}


def panels(record):
    return ablation.draw(record).axes


def test_values_and_differences_stand_in_their_panels():
    left, right = panels(ablated())
    assert sorted(dots(left)) == [0.4, 0.5, 0.7, 0.71]
    assert sorted(dots(right)) == pytest.approx([-0.3, -0.2, 0.01])


def test_the_base_and_what_is_certain_are_filled():
    assert {value for value, filled in dots(panels(ablated())[0]).items() if filled} == {0.4, 0.7}


def test_rows_go_downwards_with_room_between_groups():
    left, _ = panels(ablated())
    places = left.get_yticks()
    assert len(places) == len(ablated().rows)
    steps = -np.diff(places)
    assert steps[0] == 1
    assert (steps[1:] > 1).all()


def test_a_gap_says_why_where_its_value_would_be():
    left, _ = panels(ablated())
    assert any("one view of each clip" in text.get_text() for text in left.texts)


def test_the_base_is_a_line_in_both():
    for axes, value in zip(panels(ablated()), (0.7, 0), strict=True):
        assert any(np.unique(line.get_xdata()).tolist() == [value] for line in axes.lines)


def test_the_picture_is_the_same_each_time():
    first, again = (canvas.png(ablation.draw(ablated())) for _ in range(2))
    assert first == again

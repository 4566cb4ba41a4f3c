import numpy as np

from polyspace.report.figures import confusion


def test_each_row_is_shares_of_its_own_clips_and_empty_ones_are_missing():
    shares = confusion.normalised(np.array([[3, 1], [0, 0]]))
    np.testing.assert_array_equal(shares, [[0.75, 0.25], [np.nan, np.nan]])


def written(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_cells_hold_percentages_as_long_as_they_can_be_read():
    assert written(confusion.draw(((3, 1), (0, 2)), ("a", "b"))) == ["75", "25", "100"]
    many = tuple(map(tuple, np.eye(50, dtype=int).tolist()))
    figure = confusion.draw(many, tuple(map(str, range(50))))
    assert written(figure) == []
    assert figure.axes[0].get_xticklabels() == []

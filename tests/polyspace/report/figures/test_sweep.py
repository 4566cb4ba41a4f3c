import numpy as np

from polyspace.report.figures import canvas, sweep
from tests.support.swept import swept


def panels(record):
    return sweep.draw(record).axes


def points(axes):
    """Where single points are drawn."""
    lines = (line for line in axes.lines if len(np.atleast_1d(line.get_xdata())) == 1)
    return {(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in lines}


def test_there_is_a_panel_of_curves_and_one_for_each_setting():
    curves, lr, rank = panels(swept())
    assert (curves.get_xlabel(), lr.get_xlabel(), rank.get_xlabel()) == ("epoch", "lr", "rank")
    assert (lr.get_xscale(), rank.get_xscale()) == ("log", "linear")
    assert [label.get_text() for label in rank.get_xticklabels()] == ["16", "64"]


def test_scores_stand_at_their_settings_and_failed_trials_nowhere():
    _, lr, rank = panels(swept())
    assert points(lr) == {(0.01, 0.7), (0.001, 0.4)}
    assert points(rank) == {(1.0, 0.7), (0.0, 0.4)}


def test_the_whole_range_that_was_searched_is_shown():
    _, lr, _ = panels(swept())
    low, high = lr.get_xlim()
    assert low < 1e-4
    assert high > 1e-1


def test_curves_end_where_a_trial_was_pruned():
    curves = panels(swept())[0]
    lengths = [np.size(line.get_xdata()) for line in curves.lines]
    assert sorted(length for length in lengths if length > 1) == [2, 3]


def test_the_picture_is_the_same_each_time():
    first, again = (canvas.png(sweep.draw(swept())) for _ in range(2))
    assert first == again
    assert first.startswith(b"\x89PNG")


def test_a_sweep_of_failures_can_be_drawn():
    record = swept()
    assert panels(record.model_copy(update={"trials": record.trials[-1:]}))

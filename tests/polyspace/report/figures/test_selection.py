import numpy as np
import pytest
from matplotlib.patches import Rectangle

from polyspace.export.selection import dossier
from polyspace.export.selection.options import PolicyOptions
from polyspace.report.figures import (
    canvas,
    selection_comparison,
    selection_marks,
    selection_pareto,
    selection_sensitivity,
)
from tests.support.selections import scored


@pytest.fixture
def record(tmp_path):
    """Make the record of a selection by top1 scores and further columns."""

    def record(scores, columns=None, **options):
        folder = scored(tmp_path / "run", scores, **(columns or {}))
        wanted = PolicyOptions.model_validate(options)
        chosen = dossier.choose(folder / "validation_metrics.csv", folder, wanted)
        return dossier.record(chosen, "best.pt")

    return record


@pytest.fixture
def bounded(record):
    return record(
        [0.1, 0.9, 0.6],
        {"ece": [0.1, 0.5, 0.2]},
        require=("ece<=0.3",),
        target=("top1>=0.5",),
    )


def points(axes):
    """Give where every checkpoint stands, by its sign and colour."""
    found = (line for line in axes.lines if line.get_marker() in ("o", "X", "D"))
    return [
        (float(line.get_xdata()[0]), float(line.get_ydata()[0]), line.get_marker())
        for line in found
        if np.size(line.get_xdata()) == 1
    ]


def levels(axes):
    """Give the heights of horizontal lines, by colour."""
    return {
        line.get_color(): line.get_ydata()[0]
        for line in axes.lines
        if np.size(line.get_ydata()) == 2 and np.unique(line.get_ydata()).size == 1
    }


def test_there_is_a_panel_for_each_metric_that_counts_and_one_for_scores(bounded):
    titles = [axes.get_title(loc="left") for axes in selection_comparison.draw(bounded).axes]
    assert titles == ["top-1  (+1 in the score)", "ece", "score"]


def test_points_stand_at_their_values_and_crosses_do_not_pass(bounded):
    top1, ece, _ = selection_comparison.draw(bounded).axes
    assert points(top1) == [(0, 0.1, "o"), (1, 0.9, "X"), (2, 0.6, "o")]
    assert points(ece) == [(0, 0.1, "o"), (1, 0.5, "X"), (2, 0.2, "o")]


def test_limits_and_targets_are_lines_at_their_heights(bounded):
    top1, ece, _ = selection_comparison.draw(bounded).axes
    assert levels(top1) == {selection_marks.TARGET: 0.5}
    assert levels(ece) == {selection_marks.LIMIT: 0.3}


def test_bars_are_the_scores_and_the_winner_has_a_rim(bounded):
    patches = selection_comparison.draw(bounded).axes[2].patches
    bars = [patch for patch in patches if isinstance(patch, Rectangle)]
    assert [bar.get_height() for bar in bars] == [0.1, 0.9, 0.6]
    assert [bar.get_linewidth() > 0 for bar in bars] == [False, False, True]
    assert [bar.get_hatch() for bar in bars] == [None, "///", None]


def test_a_failing_score_far_away_does_not_flatten_the_others(record):
    found = record([0.1, -300.0, 0.6], {"ece": [0.1, 0.5, 0.2]}, require=("ece<=0.3",))
    scores = selection_comparison.draw(found).axes[2]
    low, high = scores.get_ylim()
    assert -0.3 < low < 0 < 0.6 < high < 1
    assert [text.get_text() for text in scores.texts] == ["-300"]


def test_many_checkpoints_are_points_and_few_steps_are_named(record):
    found = record([place / 50 for place in range(40)])
    scores = selection_comparison.draw(found).axes[-1]
    assert not scores.patches
    assert len(scores.get_xticks()) <= selection_marks.TICKS


def test_the_front_is_drawn_through_those_that_nothing_beats(record):
    found = record(
        [0.1, 0.9, 0.6, 0.5],
        {"ece": [0.1, 0.5, 0.2, 0.3]},
        maximise=("top1",),
        minimise=("ece=0.1",),
    )
    (axes,) = selection_pareto.draw(found, found.pareto).axes
    (line,) = [line for line in axes.lines if line.get_label() == "front"]
    assert np.array(line.get_data()).T.tolist() == [[0.1, 0.1], [0.6, 0.2], [0.9, 0.5]]
    assert {text.get_text() for text in axes.texts} == {"step 0", "step 10", "step 20"}
    assert (axes.get_xlabel(), axes.get_ylabel()) == (
        "top-1 (higher is better)",
        "ece (lower is better)",
    )


def test_winners_under_other_weights_stand_in_their_rows(record):
    found = record(
        [0.9, 0.6], {"ece": [0.5, 0.25]}, maximise=("top1=1",), minimise=("ece=1",)
    )  # scores 0.4 and 0.35
    (axes,) = selection_sensitivity.draw(found).axes
    times = selection_sensitivity.TIMES
    rows = [label.get_text() for label in axes.get_yticklabels()]
    told = {tuple(rows[int(y)].split(f" {times} ")): (x, marker) for x, y, marker in points(axes)}
    assert told == {
        ("top1", "0.5"): (1, "D"),
        ("top1", "1.5"): (0, "o"),
        ("ece", "0.5"): (0, "o"),
        ("ece", "1.5"): (1, "D"),
    }
    assert "step 0, ahead by 0.2" in [text.get_text() for text in axes.texts]


def test_the_pictures_are_the_same_each_time(bounded):
    for draw in (
        selection_comparison.draw,
        lambda found: selection_pareto.draw(found, found.pareto),
        selection_sensitivity.draw,
    ):
        first, again = (canvas.png(draw(bounded)) for _ in range(2))
        assert first == again

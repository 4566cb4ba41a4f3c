import numpy as np

from polyspace.report import words
from polyspace.report.figures import intervals


def test_methods_are_sorted_best_on_top_and_each_has_its_interval(evaluation):
    read = evaluation()
    axes = intervals.draw(read).axes[0]
    rows = sorted(read.methods, key=lambda method: method.top1.value)
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        words.method(row.name) for row in rows
    ]
    spans = [np.asarray(line.get_xdata()) for line in axes.lines if line.get_alpha()]
    assert [tuple(span) for span in spans] == [(row.top1.low, row.top1.high) for row in rows]


def test_chance_is_a_line(evaluation):
    chance = intervals.draw(evaluation(chance=0.25)).axes[0].lines[0]
    assert np.asarray(chance.get_xdata()).tolist() == [0.25, 0.25]

"""Which classes gain and which lose."""

import numpy as np
from matplotlib.figure import Figure

from polyspace.report import words
from polyspace.report.figures import canvas
from polyspace.report.records.evaluation import Evaluation

SHOWN = 24
"""Classes that are drawn at most: of more, those that lose most and those that gain most."""


def draw(evaluation: Evaluation) -> Figure:
    """Draw each class's accuracy under the method and under its baseline, by their difference."""
    compared = evaluation.comparison
    method, baseline = evaluation.method(compared.method), evaluation.method(compared.baseline)
    own, other = np.array(method.per_class), np.array(baseline.per_class)
    shown = canvas.extremes(own - other, SHOWN)
    figure = canvas.figure(9.0, 1 + 0.3 * len(shown))
    axes = canvas.quiet(figure.add_subplot(), grid="x")
    places = np.arange(len(shown))
    axes.hlines(places, other[shown], own[shown], color=canvas.QUIET, linewidth=2, alpha=0.5)
    for of, values, sign, colour in (
        (baseline, other, "s", canvas.STUDENT),
        (method, own, "o", canvas.FUSION),
    ):
        label, size = words.method(of.name), 9 if sign == "s" else 6
        axes.plot(values[shown], places, sign, color=colour, markersize=size, label=label)
    names = [canvas.short(evaluation.dataset.class_names[place], 34) for place in shown]
    axes.set_yticks(places, names)
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.7, len(shown) - 0.3)
    axes.set_xlabel("accuracy within the class", fontsize=9)
    canvas.percent_axis(axes, "x")
    figure.legend(loc="outside upper right", ncols=2, fontsize=9, frameon=False)
    return figure

"""How far the gates open: for which teacher, when, and for which classes."""

import numpy as np
from jaxtyping import Float64, Int64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray

from polyspace.report.figures import canvas
from polyspace.report.records.evaluation import Evaluation
from polyspace.report.records.methods import Gate

SHOWN = 24
"""Classes that are drawn at most: of more, those with the lowest and the highest mean gate."""
WRITTEN = 14
"""Classes up to which the cells hold their numbers."""


def means(gates: dict[str, Gate]) -> Figure:
    """Draw each teacher's mean gate, and its course over the clip."""
    figure = canvas.figure(9.6, 3.4)
    bars, lines = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2)
    colours = canvas.teacher_colours(tuple(gates))
    _bars(canvas.quiet(bars, grid="x"), gates, colours)
    canvas.quiet(lines, grid="y").set_title("over the clip", fontsize=10, loc="left")
    for name, gate in gates.items():
        places = (np.arange(len(gate.per_time)) + 0.5) / len(gate.per_time)
        lines.plot(places, gate.per_time, "o-", color=colours[name], markersize=4, label=name)
    lines.set_xlabel("from the first to the last moment of the clip", fontsize=9)
    lines.set_xlim(0, 1)
    lines.set_ylim(0, 1)
    canvas.percent_axis(lines, "x")
    figure.legend(loc="outside lower right", ncols=4, fontsize=8.5, frameon=False)
    return figure


def by_class(evaluation: Evaluation) -> Figure:
    """Draw each teacher's mean gate for each class."""
    table = np.array([gate.per_class for gate in evaluation.gates.values()])
    shown = _shown(table)
    figure = canvas.figure(9.6, 1.6 + 0.42 * len(table))
    axes = canvas.quiet(figure.add_subplot())
    drawn = axes.imshow(table[:, shown], cmap="Blues", vmin=0, vmax=1, aspect="auto")
    names = [canvas.short(evaluation.dataset.class_names[place]) for place in shown]
    axes.set_xticks(range(len(shown)), names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(table)), list(evaluation.gates))
    if len(shown) <= WRITTEN:
        _numbers(axes, table[:, shown])
    else:
        canvas.quiet(figure.colorbar(drawn, ax=axes, fraction=0.03, pad=0.02).ax)
    return figure


def _shown(table: Float64[ndarray, "teacher label"]) -> Int64[ndarray, " shown"]:
    """Keep the classes' own order as long as all of them are there."""
    if table.shape[1] <= SHOWN:
        return np.arange(table.shape[1])
    return canvas.extremes(table.mean(axis=0), SHOWN)


def _bars(axes: Axes, gates: dict[str, Gate], colours: dict[str, str]) -> None:
    axes.set_title("mean", fontsize=10, loc="left")
    for place, (name, gate) in enumerate(reversed(gates.items())):
        axes.barh(place, gate.mean, height=0.55, color=colours[name])
        axes.text(gate.mean + 0.015, place, f"{gate.mean:.2f}", va="center", fontsize=9)
    axes.set_yticks(range(len(gates)), [canvas.short(name) for name in reversed(gates)])
    axes.set_xlim(0, 1)
    axes.set_xlabel("0 is shut, 1 is open", fontsize=9)


def _numbers(axes: Axes, table: Float64[ndarray, "teacher shown"]) -> None:
    for (row, column), value in np.ndenumerate(table):
        if not np.isnan(value):
            colour = canvas.ON_DARK if value > 0.55 else canvas.ON_LIGHT
            text = f"{value:.2f}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)

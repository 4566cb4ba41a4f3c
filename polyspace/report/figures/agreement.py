"""How evenly a translation is good: over the dimensions of the teacher, and over the classes."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from polyspace.report.figures import canvas
from polyspace.report.records.evaluation import Evaluation
from polyspace.report.records.translation import Agreement

SHOWN = 24
"""Classes that are drawn at most: of more, the worst and the best translated."""
FLOOR = -1.0
"""R² below is drawn here: one hopeless dimension would leave no room for the others."""


def draw(evaluation: Evaluation) -> Figure:
    """Draw each teacher's R² over its dimensions, and over the classes."""
    trained = {name: list(kinds.values())[-1] for name, kinds in evaluation.translation.items()}
    names = evaluation.dataset.class_names
    figure = canvas.figure(9.6, max(3.6, 1.4 + 0.24 * min(len(names), SHOWN)))
    left, right = figure.subplots(1, 2)
    for name, colour in canvas.teacher_colours(tuple(trained)).items():
        _dimensions(left, trained[name], colour)
        left.plot([], [], color=colour, label=canvas.short(name))
    _axes(canvas.quiet(left, grid="y"))
    _classes(canvas.quiet(right, grid="x"), trained, names)
    figure.legend(loc="outside lower center", ncols=4, fontsize=9, frameon=False)
    return figure


def _dimensions(axes: Axes, said: Agreement, colour: str) -> None:
    values = np.maximum(said.dimensions.r2, FLOOR)
    axes.plot(np.linspace(0, 1, len(values)), values, color=colour, linewidth=1.8)


def _axes(axes: Axes) -> None:
    axes.axhline(0, color=canvas.INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_xlim(0, 1)
    axes.set_ylim(FLOOR - 0.05, 1.05)
    canvas.percent_axis(axes, "x")
    axes.set_xlabel("dimensions, worst to best", fontsize=9)
    axes.set_ylabel("R²", fontsize=9)


def _classes(axes: Axes, trained: dict[str, Agreement], names: tuple[str, ...]) -> None:
    scores = np.array([[of.r2 for of in said.classes] for said in trained.values()])
    shown = _shown(scores)
    for row, colour in zip(scores, canvas.teacher_colours(tuple(trained)).values(), strict=True):
        values = np.maximum(row[shown], FLOOR)
        axes.plot(values, range(len(shown)), "o", color=colour, markersize=6)
    axes.axvline(0, color=canvas.INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_yticks(range(len(shown)), [canvas.short(names[place]) for place in shown])
    axes.set_xlabel("R² of the class's clips", fontsize=9)


def _shown(scores: np.ndarray) -> np.ndarray:
    """Keep the classes' own order as long as all of them are there."""
    if scores.shape[1] <= SHOWN:
        return np.arange(scores.shape[1])
    return canvas.extremes(scores.mean(axis=0), SHOWN)

"""Which classes are taken for which."""

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray

from polyspace.report.figures import canvas

WRITTEN = 14
"""Classes up to which the cells hold their numbers."""
NAMED = 40
"""Classes up to which the axes hold their names."""


def draw(counts: tuple[tuple[int, ...], ...], class_names: tuple[str, ...]) -> Figure:
    """Draw the confusion matrix, each true class as shares of its own clips."""
    classes = len(class_names)
    side = min(8.4, 3.6 + 0.36 * classes)
    figure = canvas.figure(side + 0.9, side)
    axes = canvas.quiet(figure.add_subplot())
    shares = normalised(np.array(counts))
    drawn = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xlabel("predicted", fontsize=9)
    axes.set_ylabel("true", fontsize=9)
    _names(axes, class_names)
    if classes <= WRITTEN:
        _numbers(axes, shares)
    else:
        bar = figure.colorbar(drawn, ax=axes, shrink=0.6, aspect=30, pad=0.02)
        canvas.percent_axis(canvas.quiet(bar.ax), "y")
    return figure


def normalised(counts: ndarray) -> Float64[ndarray, "true predicted"]:
    """Divide each row by its sum; NaN where a class has no clips."""
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.full(counts.shape, np.nan)
    return np.divide(counts, totals, out=shares, where=totals > 0)


def _names(axes: Axes, class_names: tuple[str, ...]) -> None:
    places = range(len(class_names)) if len(class_names) <= NAMED else []
    names = [canvas.short(class_names[place]) for place in places]
    small = 9 if len(class_names) <= 20 else 6.5
    axes.set_xticks(places, names, rotation=40, ha="right", rotation_mode="anchor", fontsize=small)
    axes.set_yticks(places, names, fontsize=small)


def _numbers(axes: Axes, shares: Float64[ndarray, "true predicted"]) -> None:
    """Write percentages into the cells; nothing into empty ones, so that mistakes stand out."""
    for (row, column), share in np.ndenumerate(shares):
        if share > 0:
            colour = canvas.ON_DARK if share > 0.55 else canvas.ON_LIGHT
            text = f"{share * 100:.0f}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)

"""A selection's checkpoints by its first two metrics, and those that none other beats in both."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from polyspace.report.figures import canvas, selection_marks
from polyspace.report.records.selection import Front, Selection

NAMED = 8
"""Checkpoints of the front whose steps are written, at most."""


def draw(selection: Selection, front: Front) -> Figure:
    """Draw both metrics of every checkpoint, and the front."""
    figure = canvas.figure(6.4, 4.6)
    axes = canvas.quiet(figure.add_subplot(), grid="both")
    first, second = front.metrics
    by_step = {candidate.step: candidate for candidate in selection.all_checkpoints}
    places = {
        step: (candidate.values[first], candidate.values[second])
        for step, candidate in by_step.items()
    }
    line = sorted(places[step] for step in front.steps)
    if line:
        axes.plot(
            *zip(*line, strict=True), color=canvas.INK, linewidth=1.2, label="front", zorder=2
        )
    for step, place in places.items():
        selection_marks.point(axes, *place, by_step[step], selection.best_checkpoint)
    _name(axes, selection, front, places)
    for name, direction, write in zip(
        front.metrics, front.directions, (axes.set_xlabel, axes.set_ylabel), strict=True
    ):
        write(f"{selection_marks.title(name)} ({selection_marks.better(direction)})", fontsize=9)
    for name, axis in zip(front.metrics, "xy", strict=True):
        if name == "top1":
            canvas.percent_axis(axes, axis)
    axes.margins(0.12)
    selection_marks.legend(figure, selection)
    return figure


def _name(
    axes: Axes, selection: Selection, front: Front, places: Mapping[int, tuple[float, float]]
) -> None:
    """Write steps of the front above and below it by turns, where there are few."""
    few = front.steps if len(front.steps) <= NAMED else ()
    named = sorted({*few, selection.best_checkpoint.step}, key=lambda step: places[step])
    for turn, step in enumerate(named):
        above = turn % 2 == 0
        axes.annotate(
            f"step {step}",
            places[step],
            xytext=(0, 9 if above else -9),
            textcoords="offset points",
            ha="center",
            va="bottom" if above else "top",
            fontsize=8.5,
            color=canvas.INK,
            bbox={"facecolor": canvas.PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 1},
            zorder=5,
        )

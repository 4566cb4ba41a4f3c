"""Whether chances mean what they say."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from polyspace.report import words
from polyspace.report.figures import canvas
from polyspace.report.records.methods import Method


def draw(own: Method, other: Method) -> Figure:
    """Draw two methods' reliability curves, and under each how its clips are spread."""
    figure = canvas.figure(9.0, 4.6)
    panels = figure.subplots(2, 2, sharex=True, height_ratios=(4, 1))
    for column, (method, colour) in enumerate(((own, canvas.FUSION), (other, canvas.STUDENT))):
        _curve(panels[0, column], method, colour)
        _spread(panels[1, column], method, colour)
    return figure


def _curve(axes: Axes, method: Method, colour: str) -> None:
    title = f"{words.method(method.name)}, ECE {words.decimal(method.ece)}"
    canvas.quiet(axes, grid="both").set_title(title, fontsize=10, loc="left")
    axes.plot([0, 1], [0, 1], color=canvas.INK, linewidth=1, linestyle=(0, (4, 3)))
    there = [part for part in method.reliability if part.clips]
    sure, right = [part.confidence for part in there], [part.accuracy for part in there]
    axes.plot(sure, right, "o-", color=colour, linewidth=1.8, markersize=6, markeredgecolor="white")
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("right", fontsize=9)
    canvas.percent_axis(axes, "y")


def _spread(axes: Axes, method: Method, colour: str) -> None:
    places = [(part.low + part.high) / 2 for part in method.reliability]
    counts = [part.clips for part in method.reliability]
    canvas.quiet(axes).bar(places, counts, width=0.9 / len(counts), color=colour, alpha=0.7)
    axes.set_ylabel("clips", fontsize=9)
    axes.set_xlabel("how sure", fontsize=9)
    canvas.percent_axis(axes, "x")

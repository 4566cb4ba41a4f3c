"""The fusions of several runs, each over its own student."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from polyspace.report.figures import canvas
from polyspace.report.runs.compared import Standing


def draw(runs: Sequence[Standing]) -> Figure:
    """Draw both accuracies of every run with their intervals, the first run on top."""
    figure = canvas.figure(9.0, 1.1 + 0.5 * len(runs))
    axes = canvas.quiet(figure.add_subplot(), grid="x")
    for place, run in enumerate(reversed(runs)):
        for top1, colour, height in (
            (run.student, canvas.STUDENT, place - 0.12),
            (run.top1, canvas.FUSION, place + 0.12),
        ):
            axes.plot([top1.low, top1.high], [height] * 2, color=colour, linewidth=3, alpha=0.55)
            axes.plot(top1.value, height, "o", color=colour, markersize=8, markeredgecolor="white")
    names = [canvas.short(run.name, 40) for run in reversed(runs)]
    axes.set_yticks(range(len(runs)), names)
    axes.set_ylim(-0.7, len(runs) - 0.3)
    canvas.percent_axis(axes, "x")
    axes.set_xlabel("top-1 accuracy", fontsize=9)
    for name, colour in (("fusion", canvas.FUSION), ("student alone", canvas.STUDENT)):
        axes.plot([], [], "o-", color=colour, linewidth=3, label=name)
    figure.legend(loc="outside upper right", ncols=2, fontsize=9, frameon=False)
    return figure

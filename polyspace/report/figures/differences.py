"""How far the method is ahead of everything else that runs without teachers."""

from matplotlib.figure import Figure

from polyspace.report import words
from polyspace.report.figures import canvas
from polyspace.report.records.evaluation import Evaluation


def draw(evaluation: Evaluation) -> Figure:
    """Draw the paired differences in points with their intervals, the largest on top."""
    rows = sorted(evaluation.comparisons, key=lambda compared: compared.difference.value)
    figure = canvas.figure(9.0, 0.9 + 0.36 * len(rows))
    axes = canvas.quiet(figure.add_subplot(), grid="x")
    axes.axvline(0, color=canvas.INK, linewidth=1)
    kinds = {method.name: method.kind for method in evaluation.methods}
    for place, compared in enumerate(rows):
        found, colour = compared.difference, canvas.KINDS[kinds[compared.baseline]]
        ends = [found.low * 100, found.high * 100]
        axes.plot(ends, [place, place], color=colour, linewidth=3, alpha=0.55)
        axes.plot(
            found.value * 100, place, "o", color=colour, markersize=8, markeredgecolor="white"
        )
    names = [canvas.short(words.method(compared.baseline), 34) for compared in rows]
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlabel("points of top-1 accuracy that the fusion is ahead", fontsize=9)
    canvas.kinds_legend(figure, {kinds[compared.baseline] for compared in rows})
    return figure

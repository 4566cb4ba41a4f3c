"""Every method's accuracy with its interval, against chance."""

from matplotlib.figure import Figure

from polyspace.report import words
from polyspace.report.figures import canvas
from polyspace.report.records.evaluation import Evaluation


def draw(evaluation: Evaluation) -> Figure:
    """Draw top-1 accuracies, best on top, coloured by kind of method."""
    rows = sorted(evaluation.methods, key=lambda method: method.top1.value)
    figure = canvas.figure(9.0, 0.9 + 0.36 * len(rows))
    axes = canvas.quiet(figure.add_subplot(), grid="x")
    axes.axvline(evaluation.chance, color=canvas.INK, linewidth=1, linestyle=(0, (4, 3)))
    for place, method in enumerate(rows):
        colour, top1 = canvas.KINDS[method.kind], method.top1
        axes.plot([top1.low, top1.high], [place, place], color=colour, linewidth=3, alpha=0.55)
        each = method.top1_by_seed if method.seeds > 1 else ()
        axes.plot(each, [place] * len(each), "o", color=canvas.INK, markersize=2.5, zorder=3)
        axes.plot(top1.value, place, "o", color=colour, markersize=8, markeredgecolor="white")
    axes.set_yticks(range(len(rows)), [canvas.short(words.method(row.name), 34) for row in rows])
    for label, method in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_fontweight("bold" if method.kind == "method" else "normal")
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlim(0, 1)
    canvas.percent_axis(axes, "x")
    axes.set_xlabel("top-1 accuracy", fontsize=9)
    chance = f"chance, {words.percent(evaluation.chance)}"
    axes.plot([], [], color=canvas.INK, linewidth=1, linestyle=(0, (4, 3)), label=chance)
    canvas.kinds_legend(figure, {method.kind for method in evaluation.methods})
    return figure

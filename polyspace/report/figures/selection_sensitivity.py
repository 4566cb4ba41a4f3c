"""Whether a selection hangs on its weights: who wins where one of them is another."""

from matplotlib.figure import Figure

from polyspace.report.figures import canvas, selection_marks
from polyspace.report.records.selection import Selection, Variation

TIMES = "\N{MULTIPLICATION SIGN}"


def draw(selection: Selection) -> Figure:
    """Draw the winner for every weight halved, and half as large again."""
    rows, candidates = selection.sensitivity, selection.all_checkpoints
    figure = canvas.figure(8.6, 1.3 + 0.36 * len(rows))
    axes = canvas.quiet(figure.add_subplot(), grid="y")
    places = {candidate.step: place for place, candidate in enumerate(candidates)}
    best = places[selection.best_checkpoint.step]
    axes.axvline(best, color=canvas.INK, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    for place, row in enumerate(reversed(rows)):
        colour = selection_marks.FAILS if row.changed else selection_marks.PASSES
        marker = "D" if row.changed else "o"
        axes.plot(places[row.step], place, marker, color=colour, markersize=8)
        axes.text(
            1.02, place, _said(row), transform=axes.get_yaxis_transform(), fontsize=8.5, va="center"
        )
    names = [f"{canvas.short(row.metric)} {TIMES} {row.factor:g}" for row in reversed(rows)]
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    selection_marks.step_axis(axes, candidates)
    axes.set_xlabel("step that wins", fontsize=9)
    _legend(figure, selection)
    return figure


def _said(row: Variation) -> str:
    lead = "alone" if row.lead is None else f"ahead by {row.lead:.3g}"
    return f"step {row.step}, {lead}"


def _legend(figure: Figure, selection: Selection) -> None:
    axes = figure.axes[0]
    step = selection.best_checkpoint.step
    dashes = (0, (4, 3))
    axes.plot([], [], color=canvas.INK, linewidth=1, linestyle=dashes, label=f"chosen, step {step}")
    axes.plot([], [], "o", color=selection_marks.PASSES, linestyle="", label="the same wins")
    if any(row.changed for row in selection.sensitivity):
        axes.plot([], [], "D", color=selection_marks.FAILS, linestyle="", label="another wins")
    figure.legend(loc="outside upper right", ncols=3, fontsize=9, frameon=False)

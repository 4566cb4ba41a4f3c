"""The scores of a selection's checkpoints; those that pass decide what the axis shows."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from polyspace.report.figures import canvas, selection_marks
from polyspace.report.records.selection import Candidate, Selection

BARS = 30
"""Checkpoints up to which scores are bars."""
ROOM = 0.3
"""Of the axis, beyond the scores that are shown, for numbers of those that aren't."""


def draw(axes: Axes, selection: Selection) -> None:
    """Draw scores, as bars where there are few."""
    canvas.quiet(axes, grid="y").set_title("score", fontsize=9.5, loc="left")
    candidates, best = selection.all_checkpoints, selection.best_checkpoint
    for place, candidate in enumerate(candidates):
        if len(candidates) <= BARS:
            _bar(axes, place, candidate, best)
        else:
            score = candidate.score.composite_score
            selection_marks.point(axes, place, score, candidate, best)
    if len(candidates) <= BARS:
        axes.axhline(0, color=canvas.INK, linewidth=0.8)
    _cut(axes, candidates)
    selection_marks.step_axis(axes, candidates)


def _bar(axes: Axes, place: int, candidate: Candidate, best: Candidate) -> None:
    is_best = candidate.step == best.step
    axes.bar(
        place,
        candidate.score.composite_score,
        width=0.7,
        color=selection_marks.PASSES if candidate.passes else selection_marks.FAILS,
        hatch=None if candidate.passes else "///",
        edgecolor=canvas.INK if is_best else canvas.PAPER,
        linewidth=1.8 if is_best else 0,
        zorder=3 if is_best else 2,
    )


def _cut(axes: Axes, candidates: Sequence[Candidate]) -> None:
    """Cut the axis where only failing scores go on: a penalty may be a thousand times the rest."""
    passing = [one.score.composite_score for one in candidates if one.passes]
    low, high = axes.get_ylim()
    if not passing:
        return
    bottom, top = min(0.0, *passing), max(0.0, *passing)
    room = ROOM * (top - bottom)
    shown = max(low, bottom - room), min(high, top + room)
    if room == 0 or shown == (low, high):
        return
    axes.set_ylim(shown)
    for place, one in enumerate(candidates):
        score = one.score.composite_score
        if not shown[0] <= score <= shown[1]:
            _number(axes, place, score, shown[score > shown[1]], inwards=3 - 6 * (score > shown[1]))


def _number(axes: Axes, place: int, score: float, edge: float, *, inwards: int) -> None:
    """Write the score of a bar that is cut off at an edge."""
    axes.annotate(
        f"{score:.3g}",
        (place, edge),
        xytext=(0, inwards),
        textcoords="offset points",
        ha="center",
        va="bottom" if inwards > 0 else "top",
        fontsize=8,
        color=selection_marks.FAILS,
        bbox={"facecolor": canvas.PAPER, "edgecolor": "none", "pad": 1.5},
        zorder=5,
    )

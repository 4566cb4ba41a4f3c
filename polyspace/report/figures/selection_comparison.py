"""Every checkpoint of a selection: its score, and each metric that counts, with its limits."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from polyspace.report.figures import canvas, selection_marks, selection_scores
from polyspace.report.records.selection import Bound, Selection

ACROSS = 3
"""Panels beside each other, at most."""


def draw(selection: Selection) -> Figure:
    """Draw a panel for each metric of the policy, and the scores."""
    metrics = _metrics(selection)
    count = len(metrics) + 1
    down = -(-count // ACROSS)
    across = min(count, ACROSS)
    figure = canvas.figure(3.5 * across, 2.7 * down + 0.4)
    for place, metric in enumerate(metrics, start=1):
        _metric(figure.add_subplot(down, across, place), selection, metric)
    selection_scores.draw(figure.add_subplot(down, across, count), selection)
    selection_marks.legend(figure, selection, limits=True)
    return figure


def _metrics(selection: Selection) -> list[str]:
    policy = selection.policy
    parts = (*policy.objective, *policy.constraints, *policy.targets)
    return list(dict.fromkeys(part.metric for part in parts))


def _metric(axes: Axes, selection: Selection, metric: str) -> None:
    canvas.quiet(axes, grid="y").set_title(_heading(selection, metric), fontsize=9.5, loc="left")
    candidates = selection.all_checkpoints
    values = [candidate.values[metric] for candidate in candidates]
    axes.plot(range(len(values)), values, color=canvas.QUIET, linewidth=0.8, alpha=0.6)
    for place, (candidate, value) in enumerate(zip(candidates, values, strict=True)):
        selection_marks.point(axes, place, value, candidate, selection.best_checkpoint)
    for bound in selection.policy.targets:
        if bound.metric == metric:
            axes.axhline(
                bound.limit,
                color=selection_marks.TARGET,
                linewidth=1.4,
                linestyle=(0, (4, 3)),
            )
    for bound in selection.policy.constraints:
        if bound.metric == metric:
            _limit(axes, bound)
    selection_marks.step_axis(axes, candidates)
    if metric == "top1":
        canvas.percent_axis(axes, "y")


def _limit(axes: Axes, bound: Bound) -> None:
    """Draw a limit, and shade what lies beyond it."""
    axes.axhline(bound.limit, color=selection_marks.LIMIT, linewidth=1.2)
    low, high = axes.get_ylim()
    far = high if bound.op.startswith("<") else low
    axes.axhspan(bound.limit, far, color=selection_marks.FAILS, alpha=0.1, linewidth=0)
    axes.set_ylim(low, high)


def _heading(selection: Selection, metric: str) -> str:
    name = canvas.short(selection_marks.title(metric), 30)
    for term in selection.policy.objective:
        if term.metric == metric:
            sign = "+" if term.direction == "up" else "\N{MINUS SIGN}"
            return f"{name}  ({sign}{term.weight:g} in the score)"
    return name

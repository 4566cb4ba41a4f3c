"""How checkpoints are drawn in all pictures of a selection."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from polyspace.report.figures import canvas
from polyspace.report.records.selection import Candidate, Selection

PASSES = canvas.FUSION
FAILS = "#d55e00"
LIMIT = canvas.INK
TARGET = "#009e73"
"""Colours. Source: Okabe & Ito (2008), Color universal design."""
TICKS = 8
"""Steps that an axis names at most."""


def point(axes: Axes, x: float | int, y: float, candidate: Candidate, best: Candidate) -> None:
    """Draw one checkpoint: filled if it passes, a cross if it doesn't, large if it won."""
    colour = PASSES if candidate.passes else FAILS
    is_best = candidate.step == best.step
    axes.plot(
        x,
        y,
        "o" if candidate.passes else "X",
        color=colour,
        markersize=10 if is_best else 5.5,
        markeredgecolor=canvas.INK if is_best else canvas.PAPER,
        markeredgewidth=1.6 if is_best else 0.6,
        zorder=4 if is_best else 3,
    )


def step_axis(axes: Axes, candidates: Sequence[Candidate]) -> None:
    """Name the steps below an axis of candidates; of many, some."""
    every = -(-len(candidates) // TICKS)
    places = range(0, len(candidates), every)
    axes.set_xticks(places, [str(candidates[place].step) for place in places])
    axes.set_xlim(-0.6, len(candidates) - 0.4)
    axes.set_xlabel("step", fontsize=9)


def legend(figure: Figure, selection: Selection, *, limits: bool = False) -> None:
    """Say above a figure which sign is which."""
    axes, best = figure.axes[0], selection.best_checkpoint
    axes.plot(
        [],
        [],
        "o" if best.passes else "X",
        color=PASSES if best.passes else FAILS,
        linestyle="",
        markersize=9,
        markeredgecolor=canvas.INK,
        markeredgewidth=1.6,
        label=f"chosen, step {best.step}",
    )
    passing = {candidate.passes for candidate in selection.all_checkpoints}
    if True in passing:
        others = "fulfils all constraints" if selection.policy.constraints else "others"
        axes.plot([], [], "o", color=PASSES, linestyle="", label=others)
    if False in passing:
        axes.plot([], [], "X", color=FAILS, linestyle="", label="doesn't")
    if limits and selection.policy.constraints:
        axes.plot([], [], color=LIMIT, linewidth=1.2, label="limit")
    if limits and selection.policy.targets:
        axes.plot([], [], color=TARGET, linewidth=1.4, linestyle=(0, (4, 3)), label="target")
    figure.legend(loc="outside upper right", ncols=5, fontsize=9, frameon=False)


def title(metric: str) -> str:
    """Write the name of a metric: as it is typed, but for those that everybody knows."""
    return {"top1": "top-1", "r2": "R²"}.get(metric, metric)


def better(direction: str) -> str:
    """Say which way is better."""
    return "higher is better" if direction == "up" else "lower is better"

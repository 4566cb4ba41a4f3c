"""A sweep: every trial's score epoch by epoch, and the scores by each setting."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from polyspace.report import sweeps
from polyspace.report.figures import canvas
from polyspace.report.sweeps import Sweep, Trial

ACROSS = 4
"""Panels beside each other, at most."""
PRUNED = "#e69f00"
REST = "#9aa5b1"


def draw(sweep: Sweep) -> Figure:
    """Draw one panel of curves, and one for each setting that was searched."""
    names = [term.partition("=")[0] for term in sweep.search]
    count = 1 + len(names)
    down = -(-count // ACROSS)
    across = -(-count // down)
    figure = canvas.figure(3.2 * across, 3.1 * down + 0.4)
    panels = [figure.add_subplot(down, across, 1)]
    panels += [figure.add_subplot(down, across, n, sharey=panels[0]) for n in range(2, count + 1)]
    _curves(panels[0], sweep)
    for axes, name in zip(panels[1:], names, strict=True):
        _setting(axes, sweep, name)
    for axes in panels:
        _score_axis(axes, sweep)
    for axes in panels[::across]:
        axes.set_ylabel(f"{sweeps.title(sweep.score)} on the hold-out", fontsize=9)
    _legend(figure, sweep)
    return figure


def _curves(axes: Axes, sweep: Sweep) -> None:
    """Draw scores by epoch; where a trial was pruned there is a cross."""
    for trial in reversed(sweep.trials):
        epochs, scores = list(trial.curve), list(trial.curve.values())
        if not epochs:
            continue
        colour, width = _colour(sweep, trial), 2.2 if trial is sweep.best else 1.1
        axes.plot(epochs, scores, color=colour, linewidth=width)
        marker = "x" if trial.state == "pruned" else "o"
        axes.plot(epochs[-1], scores[-1], marker, color=colour, markersize=4.5)
    axes.set_xlabel("epoch", fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _setting(axes: Axes, sweep: Sweep, name: str) -> None:
    """Draw scores by the values of one setting: on an axis of numbers, or side by side."""
    shown = [trial for trial in sweep.trials if sweep.score in trial.scores]
    term = next(term for term in sweep.search if term.partition("=")[0] == name)
    values = [trial.settings[name] for trial in shown]
    if all(isinstance(value, str) for value in values):
        texts = term.partition("=")[2].split(",")
        places = [float(texts.index(str(value))) for value in values]
        axes.set_xticks(
            range(len(texts)), [canvas.short(sweeps.setting(text), 16) for text in texts]
        )
        axes.set_xlim(-0.5, len(texts) - 0.5)
    else:
        places = [float(value) for value in values]
        _number_axis(axes, term.partition("=")[2])
    for place, trial in reversed(list(zip(places, shown, strict=True))):
        _point(axes, sweep, trial, place)
    axes.set_xlabel(name, fontsize=9)


def _number_axis(axes: Axes, text: str) -> None:
    """Show the whole range that was searched, and a little more."""
    low, _, rest = text.partition("..")
    high, _, log = rest.partition(":")
    ends = np.array([float(low), float(high)])
    axes.set_xscale("log" if log else "linear")
    axes.tick_params(which="minor", length=0)
    if log:
        axes.set_xlim(*ends * (ends / ends[::-1]) ** 0.06)
    else:
        axes.set_xlim(*ends + 0.06 * (ends - ends[::-1]))


def _point(axes: Axes, sweep: Sweep, trial: Trial, place: float) -> None:
    """Draw a trial's score, and its spread over the seeds."""
    score, colour = trial.scores[sweep.score], _colour(sweep, trial)
    is_best = trial is sweep.best
    if trial.sd is not None:
        axes.plot([place, place], [score - trial.sd, score + trial.sd], color=colour, linewidth=1)
    axes.plot(
        place,
        score,
        "x" if trial.state == "pruned" else "o",
        color=colour,
        markersize=8 if is_best else 5.5,
        markeredgecolor=colour if trial.state == "pruned" else "white",
        zorder=3 if is_best else 2,
    )


def _score_axis(axes: Axes, sweep: Sweep) -> None:
    canvas.quiet(axes, grid="y")
    axes.label_outer(remove_inner_ticks=False)
    axes.tick_params(labelbottom=True)
    if sweep.score == "top1":
        canvas.percent_axis(axes, "y")


def _colour(sweep: Sweep, trial: Trial) -> str:
    if trial is sweep.best:
        return canvas.FUSION
    return PRUNED if trial.state == "pruned" else REST


def _legend(figure: Figure, sweep: Sweep) -> None:
    axes = figure.axes[0]
    best = sweep.best
    if best is not None:
        axes.plot([], [], "o-", color=canvas.FUSION, label=f"best, trial {best.number}")
    axes.plot([], [], "o-", color=REST, label="complete")
    if any(trial.state == "pruned" for trial in sweep.trials):
        axes.plot([], [], "x-", color=PRUNED, label="pruned")
    figure.legend(loc="outside upper right", ncols=3, fontsize=9, frameon=False)

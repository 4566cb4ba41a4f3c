"""How training went, epoch by epoch."""

from itertools import cycle

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from polyspace.report.figures import canvas
from polyspace.report.records.training import Curves

DASHED = (0, (4, 3))


def converters(curves: Curves, teachers: tuple[str, ...], *, together: bool = False) -> Figure:
    """Draw the converters' losses, and the variance that they explain on the hold-out.

    Args:
        curves: What training left.
        teachers: In the order of their colours.
        together: Whether one epoch was kept for all, because they share a trunk.
    """
    figure, losses, scores = _panels("loss in training", "R² on the hold-out")
    shared = ("r2", *(f"r2/{name}" for name in teachers))
    terms = dict(zip(_terms(curves, teachers), cycle(("-", ":", "--", "-."))))
    _line(losses, curves, "loss", colour=canvas.INK, label="sum of all")
    for name, colour in canvas.teacher_colours(teachers).items():
        shown = canvas.short(name)
        losses.plot([], [], color=colour, label=shown)
        for term, style in terms.items():
            _line(losses, curves, f"{name}/{term}", colour=colour, style=style, label="")
        _line(scores, curves, f"r2/{name}", colour=colour, label=shown)
        ranked_by = shared if together else (f"r2/{name}",)
        _best(scores, curves, f"r2/{name}", by=ranked_by, colour=colour)
    for term, style in terms.items():
        losses.plot([], [], style, color=canvas.QUIET, label=term.replace("_", " "))
    _level(scores, 0.0, "mean predictor")
    return _finish(figure)


def fusion(curves: Curves, chance: float) -> Figure:
    """Draw the head's cross-entropy on both parts of the training split, and its accuracy."""
    figure, losses, scores = _panels("cross-entropy", "top-1 accuracy on the hold-out")
    _line(losses, curves, "cross_entropy", colour=canvas.QUIET, label="in training")
    epochs, likelihoods = curves.of("log_likelihood")
    entropies = [-value for value in likelihoods]
    losses.plot(epochs, entropies, color=canvas.FUSION, label="on the hold-out", linewidth=1.8)
    _line(scores, curves, "top1", colour=canvas.FUSION, label="fusion")
    _best(scores, curves, "top1", by=("top1", "log_likelihood"), colour=canvas.FUSION)
    _level(scores, chance, "chance")
    scores.set_ylim(0, 1)
    canvas.percent_axis(scores, "y")
    return _finish(figure)


def _panels(left: str, right: str) -> tuple[Figure, Axes, Axes]:
    figure = canvas.figure(9.6, 4.0)
    first, second = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2)
    for axes, title in ((first, left), (second, right)):
        canvas.quiet(axes, grid="y").set_title(title, fontsize=10, loc="left")
        axes.set_xlabel("epoch", fontsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure, first, second


def _terms(curves: Curves, teachers: tuple[str, ...]) -> list[str]:
    """Name the losses that the teachers share."""
    first = f"{teachers[0]}/"
    names = dict.fromkeys(name for epoch in curves.epochs for name in epoch)
    return [name.removeprefix(first) for name in names if name.startswith(first)]


def _line(
    axes: Axes, curves: Curves, name: str, *, colour: str, label: str, style: str = "-"
) -> None:
    epochs, values = curves.of(name)
    axes.plot(epochs, values, linestyle=style, color=colour, label=label, linewidth=1.8)


def _best(axes: Axes, curves: Curves, name: str, *, by: tuple[str, ...], colour: str) -> None:
    """Mark the epoch that was kept."""
    kept = curves.best(*by)
    axes.plot(kept["epoch"], kept[name], "o", color=colour, markersize=8, markeredgecolor="white")


def _level(axes: Axes, height: float, label: str) -> None:
    axes.axhline(height, color=canvas.INK, linewidth=1, linestyle=DASHED, label=label)


def _finish(figure: Figure) -> Figure:
    """Put each panel's legend under it, where it hides nothing."""
    for axes in figure.axes:
        axes.legend(
            loc="upper left", bbox_to_anchor=(0, -0.2), ncols=2, fontsize=8.5, frameon=False
        )
    return figure

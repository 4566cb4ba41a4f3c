"""What accuracy costs: every path's accuracy against its time, or its work."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from polyspace.report import words
from polyspace.report.figures import canvas, labels
from polyspace.report.figures.labels import Label
from polyspace.report.records.inference import Cost, PathCost, Span
from polyspace.report.records.record import Estimate

Over = Literal["latency", "flops"]

UNITS = ("", "k", "M", "G", "T", "P")


@dataclass(frozen=True)
class Point:
    """A path that can be drawn."""

    path: PathCost
    accuracy: Estimate
    cost: Span
    """Milliseconds, or operations."""


def points(cost: Cost, accuracies: Mapping[str, Estimate], over: Over) -> tuple[Point, ...]:
    """Give the paths whose accuracy and cost are known; the others can't be drawn.

    Args:
        cost: What was measured.
        accuracies: By method.
        over: Time of one clip from file to class, or floating-point operations.
    """
    found = ((path, accuracies.get(path.name), _cost(path, over)) for path in cost.paths)
    return tuple(
        Point(path, accuracy, own)
        for path, accuracy, own in found
        if accuracy is not None and own is not None
    )


def draw(cost: Cost, accuracies: Mapping[str, Estimate], over: Over = "latency") -> Figure:
    """Draw top-1 accuracy against cost, which is on a scale of powers of ten.

    Lines show intervals: of the accuracy, and of the middle eight tenths of repeats. Paths that
    `points` doesn't give are not drawn: say so beside the picture.
    """
    drawn = points(cost, accuracies, over)
    figure = canvas.figure(9.0, 4.6)
    axes = canvas.quiet(figure.add_subplot(), grid="both")
    axes.set_xscale("log")
    for point in drawn:
        _mark(axes, point)
    _scales(axes, drawn, over)
    labels.write(figure, axes, [_label(point) for point in drawn])
    _legend(figure, axes, drawn)
    return figure


def _cost(path: PathCost, over: Over) -> Span | None:
    if over == "latency":
        return path.latency_ms.get("total")
    if not path.flops:  # nothing has no place on such a scale
        return None
    return Span(median=path.flops, low=path.flops, high=path.flops)


def _mark(axes: Axes, point: Point) -> None:
    colour, at, top1 = canvas.KINDS[point.path.kind], point.cost, point.accuracy
    axes.plot([at.median] * 2, [top1.low, top1.high], color=colour, linewidth=2.5, alpha=0.45)
    axes.plot([at.low, at.high], [top1.value] * 2, color=colour, linewidth=2.5, alpha=0.45)
    size = 10 if point.path.kind == "method" else 8
    axes.plot(at.median, top1.value, "o", color=colour, markersize=size, markeredgecolor="white")


def _scales(axes: Axes, drawn: tuple[Point, ...], over: Over) -> None:
    axes.set_ylim(0, 1.06)
    canvas.percent_axis(axes, "y")
    axes.set_ylabel("top-1 accuracy", fontsize=9)
    if drawn:
        low, high = min(p.cost.low for p in drawn), max(p.cost.high for p in drawn)
        # Room for the labels beside the outermost marks.
        axes.set_xlim(low / 2.5, high * max(4.0, (high / low) ** 0.25))
    few = axes.get_xlim()[1] < 3000 * axes.get_xlim()[0]
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if few else (1.0,)))
    axes.minorticks_off()
    write = _milliseconds if over == "latency" else _operations
    axes.xaxis.set_major_formatter(FuncFormatter(write))
    label = {
        "latency": "time of one clip, from the file to its class",
        "flops": "operations of one clip (FLOPs)",
    }
    axes.set_xlabel(label[over], fontsize=9)


def _label(point: Point) -> Label:
    at, top1 = point.cost, point.accuracy
    return Label(
        text=words.method(point.path.name),
        x=at.median,
        y=top1.value,
        across=(at.low, at.high),
        up=(top1.low, top1.high),
        bold=point.path.kind == "method",
    )


def _legend(figure: Figure, axes: Axes, drawn: tuple[Point, ...]) -> None:
    shown = {point.path.kind for point in drawn}
    for kind in (kind for kind in canvas.KINDS if kind in shown):
        axes.plot([], [], "o-", color=canvas.KINDS[kind], linewidth=2.5, label=kind)
    if shown:
        figure.legend(loc="outside upper right", ncols=4, fontsize=9, frameon=False)


def _milliseconds(value: float, _: int = 0) -> str:
    return f"{value:g} ms" if value < 1000 else f"{value / 1000:g} s"


def _operations(value: float, _: int = 0) -> str:
    for unit in UNITS:
        if value < 1000:
            return f"{value:g} {unit}".rstrip()
        value /= 1000
    return f"{1000 * value:g} {UNITS[-1]}"

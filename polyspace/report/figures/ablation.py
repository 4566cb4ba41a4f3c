"""An ablation: every variation's accuracy, and how far it is from the base, clip by clip."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from polyspace.report import words
from polyspace.report.figures import canvas
from polyspace.report.records.ablation import Ablation, Estimate, Row

HEIGHT = 0.27
"""Inches of a row."""
BETWEEN = 0.7
"""Rows' worth of room between two groups."""


def draw(found: Ablation) -> Figure:
    """Draw two panels: top-1 with the base as a line, and the paired differences to it.

    Rows keep the table's order, the base on top. Filled dots differ from the base beyond chance,
    corrected for the number of rows; what could not be measured says why.
    """
    places = _places(found.rows)
    figure = canvas.figure(10.5, 1.5 + HEIGHT * (1 - places[-1]))
    left, right = figure.subplots(
        1, 2, sharey=True, width_ratios=(3, 2), gridspec_kw={"wspace": 0.06}
    )
    _shares(left, found, places)
    _differences(right, found, places)
    left.set_yticks(places, [canvas.short(row.name, 40) for row in found.rows])
    for label, row in zip(left.get_yticklabels(), found.rows, strict=True):
        label.set_fontweight("bold" if row.group == "base" else "normal")
    left.set_ylim(places[-1] - 0.8, 0.8)
    _groups(left, found.rows, places)
    _legend(figure, left, found)
    return figure


def _places(rows: Sequence[Row]) -> list[float]:
    """Give each row its height, downwards, with room before each group."""
    places, at = list[float](), 0.0
    for number, row in enumerate(rows):
        at -= 0 if number == 0 else 1 + (BETWEEN if row.group != rows[number - 1].group else 0)
        places.append(at)
    return places


def _shares(axes: Axes, found: Ablation, places: Sequence[float]) -> None:
    base = found.rows[0].top1
    canvas.quiet(axes, grid="x").set_xlim(0, 1)
    if base is not None:
        axes.axvline(base.value, color=canvas.FUSION, linewidth=1)
    axes.axvline(found.chance, color=canvas.INK, linewidth=1, linestyle=(0, (4, 3)))
    for row, place in zip(found.rows, places, strict=True):
        if row.top1 is None:
            _gap(axes, row, place)
            continue
        _interval(axes, row, row.top1, place)
        seeds = [place] * len(row.seeds)
        axes.plot(row.seeds, seeds, "|", color=_colour(row), markersize=5, clip_on=False)
    canvas.percent_axis(axes, "x")
    axes.set_xlabel(f"top-1 on {found.dataset} {found.split}", fontsize=9)


def _differences(axes: Axes, found: Ablation, places: Sequence[float]) -> None:
    canvas.quiet(axes, grid="x").axvline(0, color=canvas.FUSION, linewidth=1)
    for row, place in zip(found.rows, places, strict=True):
        if row.to_base is not None:
            _interval(axes, row, row.to_base, place)
    axes.xaxis.set_major_formatter(FuncFormatter(_points))
    axes.set_xlabel("difference to the base, points, paired by clip and seed", fontsize=9)


def _points(value: float, _: int | None) -> str:
    """Write a place of the axis in points."""
    return f"{value * 100:+.3g}".replace("-", words.MINUS) if abs(value) > 1e-9 else "0"


def _gap(axes: Axes, row: Row, place: float) -> None:
    """Say why there is nothing of a row; the table has all of the reason."""
    first = row.gap.partition(":")[0]
    axes.text(
        0.01,
        place,
        canvas.short(f"not measured: {first}", 90),
        va="center",
        fontsize=7.5,
        color=canvas.QUIET,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        zorder=3,
    )


def _interval(axes: Axes, row: Row, estimate: Estimate, place: float) -> None:
    """Draw a value in its interval; filled if the row is beyond chance, or is the base."""
    colour = _colour(row)
    ends = [estimate.low, estimate.high]
    axes.plot(ends, [place] * 2, color=colour, linewidth=3, alpha=0.45, clip_on=False)
    filled = row.is_sure or row.to_base is None
    axes.plot(
        estimate.value,
        place,
        "o",
        color=colour,
        markersize=6,
        markerfacecolor=colour if filled else "white",
        clip_on=False,
    )


def _colour(row: Row) -> str:
    if row.to_base is None:
        return canvas.FUSION
    return canvas.STUDENT if row.is_student else canvas.KINDS["control"]


def _groups(axes: Axes, rows: Sequence[Row], places: Sequence[float]) -> None:
    """Write each group's name above its first row."""
    for number, row in enumerate(rows):
        if number and row.group != rows[number - 1].group:
            axes.text(
                -0.01,
                places[number] + 0.85,
                row.group,
                transform=axes.get_yaxis_transform(),
                ha="right",
                va="center",
                fontsize=8,
                color=canvas.QUIET,
            )


def _legend(figure: Figure, axes: Axes, found: Ablation) -> None:
    axes.plot([], [], color=canvas.FUSION, linewidth=1, label="base")
    chance = f"chance, {words.percent(found.chance)}"
    axes.plot([], [], color=canvas.INK, linewidth=1, linestyle=(0, (4, 3)), label=chance)
    colour = canvas.KINDS["control"]
    axes.plot([], [], "o", color=colour, label="beyond chance (Holm, 5 %)")
    axes.plot([], [], "o", color=colour, markerfacecolor="white", label="not beyond chance")
    axes.plot([], [], "|", color=colour, label="one seed")
    figure.legend(loc="outside upper right", ncols=5, fontsize=8.5, frameon=False)

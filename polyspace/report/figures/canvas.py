"""What all pictures share: colours that colour-blind people tell apart, and plain axes.

matplotlib's objects are used directly. Its pyplot would keep every figure in a global list, and its
settings are global too, so that the look is given to each figure when it is finished.
"""

import base64
import io
from collections.abc import Collection, Sequence

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, Int64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import PercentFormatter
from numpy import ndarray

INK = "#1f2933"
QUIET = "#66727f"
FAINT = "#e3e7eb"
GROUND = "#f7f8fa"
"""Behind points."""
PAPER = "#ffffff"
ON_LIGHT, ON_DARK = "#1f2934", "#fffffe"
"""Ink on cells of a picture, whose colours are the same where the page is dark."""
AT_NIGHT = {
    INK: "#dfe5eb",
    QUIET: "#9aa7b4",
    FAINT: "#333d47",
    GROUND: "#1d242b",
    PAPER: "#181f26",
}
"""What a page in dark colours shows instead."""

FUSION = "#0072b2"
STUDENT = QUIET
KINDS = {"method": FUSION, "baseline": STUDENT, "control": "#cc79a7", "upper bound": "#009e73"}
"""Colours by kind of method. Source: Okabe & Ito (2008), Color universal design."""

TEACHERS = ("#009e73", "#e69f00", "#cc79a7", "#56b4e9", "#7a5195", "#8c6d31")
"""Colours of teachers, in their order."""

CLASSES = (
    *("#332288", "#88ccee", "#44aa99", "#117733", "#999933"),
    *("#ddcc77", "#cc6677", "#882255", "#aa4499", "#555555"),
)
"""Colours of up to ten classes. Source: Tol (2021), Colour schemes, "muted", and grey."""
MARKERS = "osD^vPX<>h"
"""A second sign for each class, for those who can't rely on colour."""


def figure(width: float, height: float) -> Figure:
    """Give an empty figure; its size in inches is its size in the page at 96 pixels each."""
    return Figure(figsize=(width, height), layout="constrained")


def teacher_colours(teachers: Sequence[str]) -> dict[str, str]:
    """Give each teacher its colour; beyond six they begin again."""
    return {name: TEACHERS[n % len(TEACHERS)] for n, name in enumerate(teachers)}


def kinds_legend(figure: Figure, shown: Collection[str]) -> None:
    """Say above a figure which colour is which kind of method, and what else has a label."""
    axes = figure.axes[0]
    for kind in (kind for kind in KINDS if kind in shown):
        axes.plot([], [], "o-", color=KINDS[kind], linewidth=3, label=kind)
    figure.legend(loc="outside upper right", ncols=6, fontsize=9, frameon=False)


def short(name: str, length: int = 22) -> str:
    """Cut a long name in the middle, where names of one family differ least."""
    if len(name) <= length:
        return name
    head = (length - 1) // 2
    return f"{name[:head]}…{name[-(length - 1 - head) :]}"


def extremes(values: Float[ndarray, " label"], count: int) -> Int64[ndarray, " shown"]:
    """Give the places of the lowest and the highest values, lowest first; all if there are few.

    Args:
        values: NaN are left out.
        count: How many there may be.
    """
    order = np.argsort(values, kind="stable")[: int((~np.isnan(values)).sum())]
    if len(order) <= count:
        return order
    return np.concatenate([order[: count // 2], order[-(count // 2) :]])


def percent_axis(axes: Axes, which: str) -> None:
    """Write an axis of shares in percent."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(PercentFormatter(xmax=1, decimals=0, symbol=" %"))


def quiet(axes: Axes, *, grid: str = "") -> Axes:
    """Take away what isn't data: frame and ticks; a faint grid where asked for ("x", "y", "both").

    Returns:
        The same axes.
    """
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0, labelsize=9, labelcolor=INK, pad=6)
    axes.set_axisbelow(True)
    for name in ("x", "y"):
        if grid in (name, "both"):
            axes.grid(axis=name, color=FAINT, linewidth=0.8)
    return axes


def data_uri(drawn: Figure) -> str:
    """Render a figure as SVG that stands inside a page; the same figure gives the same bytes.

    It follows the reader's choice of light or dark by itself.
    """
    head, body = _rendered(drawn, "svg").split(b"<defs>", 1)
    svg = head + _night() + b"<defs>" + body
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()


def _night() -> bytes:
    """Write the rules that change colours in the dark; matplotlib writes them as styles."""
    rules = "".join(
        f'[style*="{part}: {day}"]{{{part}:{night}!important}}'
        for day, night in AT_NIGHT.items()
        for part in ("fill", "stroke")
    )
    return f"<style>@media (prefers-color-scheme:dark){{{rules}}}</style>".encode()


def png(drawn: Figure) -> bytes:
    """Render a figure as PNG, for pages that can't hold SVG."""
    return _rendered(drawn, "png")


def _rendered(drawn: Figure, kind: str) -> bytes:
    for text in drawn.findobj(Text):
        if text.get_color() == "black":
            text.set_color(INK)
    buffer = io.BytesIO()
    # The one setting without an argument of its own: ids in the file, random otherwise.
    with mpl.rc_context({"svg.hashsalt": "polyspace"}):
        # Tight, because the layout forgets labels beside axes of a fixed aspect.
        drawn.savefig(
            buffer,
            format=kind,
            dpi=192,
            metadata={"Date": None} if kind == "svg" else {"Software": None},
            bbox_inches="tight",
            pad_inches=0.05,
        )
    return buffer.getvalue()

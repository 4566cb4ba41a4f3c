"""Which feature spaces agree: as a whole, and in the neighbours that clips have."""

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy import ndarray

from polyspace.report import words
from polyspace.report.figures import canvas
from polyspace.report.records.atlas import Atlas, Measured

LEVEL = 0.05
"""p-value from which on agreement is marked as no more than chance."""
WRITTEN = 12
"""Spaces up to which the cells hold their numbers."""
NAMED = 24
"""Spaces up to which the axes hold their names."""
HATCH = "#d5dbe1"
"""On cells, whose colours are the same where the page is dark."""


def draw(atlas: Atlas) -> Figure:
    """Draw unbiased CKA and mutual k-NN of every two spaces, side by side.

    Cells in brackets, and hatched, are no more than what shuffled clips come to.
    """
    count = len(atlas.spaces)
    side = min(4.6, 1.2 + 0.52 * count)
    figure = canvas.figure(2 * side + 1.8, side + 1.3)
    whole, near = figure.subplots(1, 2)
    _map(whole, atlas, "unbiased_cka", "as a whole: unbiased CKA")
    _map(near, atlas, "mutual_knn", f"close by: {atlas.k} nearest clips shared")
    near.set_yticks([])
    chance = "(no more than shuffled clips)"
    mark = Rectangle((0, 0), 1, 1, facecolor="white", edgecolor=canvas.QUIET, hatch="////")
    figure.legend([mark], [chance], loc="outside lower right", fontsize=9, frameon=False)
    return figure


def values(atlas: Atlas, figure: str) -> Float64[ndarray, "space other_space"]:
    """Give one figure of every two spaces, both ways; NaN on the diagonal.

    Args:
        atlas: What was measured.
        figure: Name of a field of its pairs.
    """
    return _table(atlas, {names: each.value for names, each in _measured(atlas, figure).items()})


def _map(axes: Axes, atlas: Atlas, figure: str, title: str) -> None:
    shares = values(atlas, figure)
    canvas.quiet(axes).set_title(title, fontsize=10, loc="left")
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    _names(axes, [space.name for space in atlas.spaces])
    p_values = {names: each.chance.p for names, each in _measured(atlas, figure).items()}
    by_chance = _table(atlas, p_values) >= LEVEL
    for row, column in np.argwhere(by_chance):
        place = (column - 0.5, row - 0.5)
        axes.add_patch(Rectangle(place, 1, 1, fill=False, hatch="////", edgecolor=HATCH))
    if len(shares) <= WRITTEN:
        _numbers(axes, shares, by_chance)


def _measured(atlas: Atlas, figure: str) -> dict[tuple[str, str], Measured]:
    found = {(pair.first, pair.second): getattr(pair, figure) for pair in atlas.pairs}
    return {names: each for names, each in found.items() if each is not None}


def _table(
    atlas: Atlas, found: dict[tuple[str, str], float]
) -> Float64[ndarray, "space other_space"]:
    places = {space.name: place for place, space in enumerate(atlas.spaces)}
    table = np.full((len(places), len(places)), np.nan)
    for (first, second), value in found.items():
        table[places[first], places[second]] = value
        table[places[second], places[first]] = value
    return table


def _names(axes: Axes, names: list[str]) -> None:
    shown = [canvas.short(name, 30) for name in names] if len(names) <= NAMED else []
    axes.set_xticks(range(len(shown)), shown, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(shown)), shown)


def _numbers(
    axes: Axes,
    shares: Float64[ndarray, "space other_space"],
    by_chance: ndarray,
) -> None:
    size = 8.5 if len(shares) <= 7 else 6.5
    for (row, column), share in np.ndenumerate(shares):
        if not np.isnan(share):
            colour = canvas.ON_DARK if share > 0.55 else canvas.ON_LIGHT
            text = f"{share:.2f}".replace("-", words.MINUS)
            text = f"({text})" if by_chance[row, column] else text
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=size)

"""Names beside the marks of a picture, where nothing else is written or marked."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from polyspace.report.figures import canvas

OFFSETS = (
    *((10, 0), (8, 6), (8, -6), (-8, 6), (-8, -6), (-10, 0)),
    *((side, sign * up) for up in (20, 34, 48, 62) for side in (8, -8) for sign in (1, -1)),
)
"""Points from a mark to its label; the first place that is free is taken."""
FAR = 18
"""Points from which on a line leads from the mark to its label."""
LONGEST = 34
"""Characters of a name."""


@dataclass(frozen=True)
class Label:
    """A name and its mark: a point and two lines through it, all in the units of the axes."""

    text: str
    x: float
    y: float
    across: tuple[float, float]
    """From where to where the mark reaches along x."""
    up: tuple[float, float]
    """And along y."""
    bold: bool = False


def write(figure: Figure, axes: Axes, labels: Sequence[Label]) -> None:
    """Write each name beside its mark; bold ones choose their places first.

    Scales and limits of the axes must be as they will be.
    """
    figure.draw_without_rendering()
    taken = [box for label in labels for box in _around(axes, label)]
    for label in sorted(labels, key=lambda label: not label.bold):
        boxes = _places(axes, label)
        inside = [o for o, box in boxes.items() if _is_inside(axes, box)]
        free = [o for o in inside if not any(boxes[o].overlaps(other) for other in taken)]
        offset = free[0] if free else OFFSETS[0]
        taken.append(boxes[offset])
        _annotate(axes, label, offset, line=abs(offset[1]) > FAR)


def _is_inside(axes: Axes, box: Bbox) -> bool:
    return bool(axes.bbox.x0 < box.x0 < box.x1 < axes.bbox.x1)


def _annotate(
    axes: Axes, label: Label, offset: tuple[int, int], *, line: bool = False
) -> Annotation:
    x, y = offset
    return axes.annotate(
        canvas.short(label.text, LONGEST),
        (label.x, label.y),
        xytext=offset,
        textcoords="offset points",
        ha="left" if x > 0 else "right",
        va="center" if y == 0 else "bottom" if y > 0 else "top",
        fontsize=9,
        fontweight="bold" if label.bold else "normal",
        color=canvas.INK,
        arrowprops={"arrowstyle": "-", "color": canvas.QUIET, "linewidth": 0.7} if line else None,
    )


def _places(axes: Axes, label: Label) -> dict[tuple[int, int], Bbox]:
    """Give the places, in pixels, that a label would take, by its offset."""
    text = _annotate(axes, label, OFFSETS[0])
    size = text.get_window_extent()
    text.remove()
    x, y = axes.transData.transform((label.x, label.y))
    scale = axes.figure.dpi / 72
    return {
        (right, up): Bbox.from_bounds(
            x + right * scale - (size.width if right < 0 else 0),
            y + up * scale - (size.height / 2 if up == 0 else size.height if up < 0 else 0),
            size.width,
            size.height,
        )
        for right, up in OFFSETS
    }


def _around(axes: Axes, label: Label) -> tuple[Bbox, Bbox]:
    """Give the places, in pixels, of a mark's two lines."""
    to_pixels = axes.transData.transform
    left, low = to_pixels((label.across[0], label.up[0]))
    right, high = to_pixels((label.across[1], label.up[1]))
    x, y = to_pixels((label.x, label.y))
    return (
        Bbox.from_extents(x - 6, min(low, y - 6), x + 6, max(high, y + 6)),
        Bbox.from_extents(min(left, x - 6), y - 3, max(right, x + 6), y + 3),
    )

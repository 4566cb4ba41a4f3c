"""What everything weighs."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from polyspace.report import words
from polyspace.report.figures import canvas
from polyspace.report.records.training import Proof


def draw(proof: Proof, stores: Mapping[str, int]) -> Figure:
    """Draw the weights before and after export, and the features on disk."""
    rows = max(2, len(stores))
    figure = canvas.figure(9.6, 1.1 + 0.36 * rows)
    weights, features = figure.subplots(1, 2)
    exported = {"float32": proof.float32_bytes, f"bundle, {proof.dtype}": proof.bytes}
    _bars(weights, exported, "weights", (canvas.QUIET, canvas.FUSION))
    _bars(features, stores, "features on disk", (canvas.TEACHERS[0],))
    return figure


def _bars(axes: Axes, sizes: Mapping[str, int], title: str, colours: tuple[str, ...]) -> None:
    canvas.quiet(axes).set_title(title, fontsize=10, loc="left")
    top = max(sizes.values(), default=1)
    for place, (_, count) in enumerate(sizes.items()):
        axes.barh(place, count, height=0.55, color=colours[place % len(colours)])
        axes.text(count + 0.02 * top, place, words.size(count), va="center", fontsize=9)
    axes.set_yticks(range(len(sizes)), [canvas.short(name, 34) for name in sizes])
    axes.set_xticks([])
    axes.set_xlim(0, 1.3 * top)
    axes.invert_yaxis()

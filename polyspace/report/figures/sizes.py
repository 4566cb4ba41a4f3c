"""What everything weighs."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from polyspace.report import words
from polyspace.report.figures import canvas
from polyspace.report.records.proof import Proof


def draw(proofs: Sequence[Proof], stores: Mapping[str, int]) -> Figure:
    """Draw the weights as float32 and in every format, and the features on disk."""
    exported = {proof.kind: proof.bytes for proof in proofs}
    if proofs:
        exported = {"source, float32": proofs[0].float32_bytes, **exported}
    rows = max(2, len(stores), len(exported))
    figure = canvas.figure(9.6, 1.1 + 0.36 * rows)
    weights, features = figure.subplots(1, 2)
    colours = (canvas.QUIET, *[canvas.FUSION] * len(proofs))
    _bars(weights, exported, "weights", colours)
    _bars(features, stores, "features on disk", (canvas.TEACHERS[0],))
    for axes in (weights, features):
        axes.set_ylim(rows - 0.5, -0.5)  # bars of both are as thick
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

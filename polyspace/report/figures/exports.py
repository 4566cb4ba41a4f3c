"""What the formats of an export cost: their size against their time, both beside float32."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from polyspace.report import words
from polyspace.report.figures import canvas, labels
from polyspace.report.figures.labels import Label
from polyspace.report.records.inference import Span
from polyspace.report.records.proof import Proof

DASHED = (0, (4, 3))


def draw(proofs: Sequence[Proof], batch: int) -> Figure:
    """Draw every format that was timed with batches of a size; left and below is better.

    Lines show the middle eight tenths of the rounds; filled marks gave every clip its class.

    Args:
        proofs: Of the formats.
        batch: Clips at a time.
    """
    timed = [(proof, found.ratio) for proof in proofs if (found := proof.at(batch))]
    figure = canvas.figure(9.0, 4.4)
    axes = canvas.quiet(figure.add_subplot(), grid="both")
    axes.set_xscale("log")
    for proof, ratio in timed:
        _mark(axes, proof, ratio)
    _scales(axes, proofs)
    marks = [
        Label(p.kind, r.median, p.ratio, (r.low, r.high), (p.ratio, p.ratio)) for p, r in timed
    ]
    labels.write(figure, axes, marks)
    _legend(figure, axes, {proof.same == proof.clips for proof, _ in timed})
    return figure


def _mark(axes: Axes, proof: Proof, ratio: Span) -> None:
    axes.plot(
        [ratio.low, ratio.high], [proof.ratio] * 2, color=canvas.FUSION, linewidth=2.5, alpha=0.45
    )
    axes.plot(ratio.median, proof.ratio, "o", **_look(proof.same == proof.clips))


def _look(is_same: bool) -> dict[str, Any]:
    fill = canvas.FUSION if is_same else canvas.PAPER
    edge = "white" if is_same else canvas.FUSION
    return {"color": fill, "markeredgecolor": edge, "markeredgewidth": 1.5, "markersize": 9}


def _scales(axes: Axes, proofs: Sequence[Proof]) -> None:
    """Set limits that hold for every batch, so that pictures of several can be compared."""
    for line in (axes.axvline, axes.axhline):
        line(1, color=canvas.QUIET, linewidth=1, linestyle=DASHED)
    ratios = [latency.ratio for proof in proofs for latency in proof.latency]
    low = min((ratio.low for ratio in ratios), default=0.5)
    high = max((ratio.high for ratio in ratios), default=1.0)
    # Room for the names beside the outermost marks.
    axes.set_xlim(min(low, 1) / 1.5, max(high, 1) * 1.6)
    axes.set_ylim(0, 1.15 * max([1.0, *(proof.ratio for proof in proofs)]))
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.minorticks_off()
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(_times))
    axes.set_xlabel("time of a batch beside float32 in torch", fontsize=9)
    axes.set_ylabel("file size beside float32", fontsize=9)


def _legend(figure: Figure, axes: Axes, shown: set[bool]) -> None:
    said = {True: "every clip has the same class", False: "some clips have another class"}
    for is_same in (one for one in said if one in shown):
        axes.plot([], [], "o", label=said[is_same], **_look(is_same))
    axes.plot([], [], color=canvas.QUIET, linewidth=1, linestyle=DASHED, label="float32")
    figure.legend(loc="outside upper right", ncols=3, fontsize=9, frameon=False)


def _times(value: float, _: int = 0) -> str:
    return f"{value:g} {words.TIMES}"

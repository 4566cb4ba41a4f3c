"""Clips as strips of frames, over what each teacher's gate did meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray

from polyspace.report import words
from polyspace.report.figures import canvas
from polyspace.report.records.inference import Shown

Frames = UInt8[ndarray, "frame row column 3"]

WIDTH, LEFT, RIGHT = 9.6, 0.6, 0.1
"""Inches: of the picture, and of its margins."""
TITLE, STRIP, GATES, TIMES, LEGEND = 0.3, 1.1, 0.45, 0.36, 0.3
"""Inches, from top to bottom: of each clip's parts, and of the legend over all of them."""
FRAMES = 5
"""Steps that a clip without frames is taken to have, for the room at its edges."""
NO_FRAMES = 0.3
"""Inches of a strip that has none."""


@dataclass(frozen=True, eq=False)
class _Strip:
    """A clip, and where its frames stand in time."""

    shown: Shown
    frames: Frames | None

    @property
    def height(self) -> float:
        """Inches of the frames; they are as wide as their shape asks for, or as there is room."""
        if self.frames is None:
            return NO_FRAMES
        count, rows, columns, _ = self.frames.shape
        return min(STRIP, (WIDTH - LEFT - RIGHT) / count * rows / columns)

    @property
    def whole(self) -> float:
        """Inches of all there is of the clip."""
        return TITLE + self.height + GATES + TIMES

    def moments(self) -> Float64[ndarray, " moment"]:
        """Give the seconds at which frames stand, evenly; without frames, the ends of the clip."""
        spans = self.shown.gate_seconds or ((0.0, 1.0),)
        seconds = self.shown.frame_seconds or (spans[0][0], spans[-1][1])
        last = seconds[-1] if seconds[-1] > seconds[0] else seconds[0] + 1.0
        return np.linspace(seconds[0], last, len(seconds))

    def limits(self) -> tuple[float, float]:
        """Give the seconds at both edges: half a frame beyond the outermost ones."""
        moments = self.moments()
        steps = len(moments) - 1 if self.frames is not None else FRAMES
        room = (moments[-1] - moments[0]) / steps / 2
        return float(moments[0] - room), float(moments[-1] + room)


def draw(
    shown: Sequence[Shown], frames: Sequence[Frames | None], class_names: Sequence[str]
) -> Figure:
    """Draw one strip a clip, in the order given, and every teacher's gate under it.

    Args:
        shown: The clips.
        frames: Of each clip; where there are none, the reason is written.
        class_names: Names of the classes.
    """
    strips = [_Strip(clip, own) for clip, own in zip(shown, frames, strict=True)]
    height = LEGEND + sum(strip.whole for strip in strips)
    figure = canvas.figure(WIDTH, height)
    figure.set_layout_engine("none")  # everything is placed by hand
    top = height - LEGEND
    for strip in strips:
        _title(figure, strip.shown, class_names, top / height)
        top -= TITLE + strip.height
        _frames(_axes(figure, top, strip.height), strip)
        top -= GATES
        _gates(_axes(figure, top, GATES), strip)
        top -= TIMES
    _legend(figure, shown)
    return figure


def _axes(figure: Figure, bottom: float, height: float) -> Axes:
    """Add axes at a place in inches, so that frames keep their shape and times their place."""
    whole = figure.get_figheight()
    inside = (WIDTH - LEFT - RIGHT) / WIDTH
    return canvas.quiet(
        figure.add_axes((LEFT / WIDTH, bottom / whole, inside, 0.96 * height / whole))
    )


def _title(figure: Figure, shown: Shown, class_names: Sequence[str], y: float) -> None:
    true, said = (canvas.short(class_names[n]) for n in (shown.label, shown.said))
    text = f"{true}: said so, with {words.percent(shown.chance)}"
    if shown.said != shown.label:
        chances = words.percent(shown.chance), words.percent(shown.true_chance)
        text = f"{true}, but said {said} with {chances[0]}; {true} got {chances[1]}"
    y -= 0.7 * TITLE / figure.get_figheight()
    figure.text(LEFT / WIDTH, y, text, fontsize=9.5, fontweight="bold", color=canvas.INK)
    view = f", view {shown.view + 1} of {shown.views}" if shown.views > 1 else ""
    name = f"{canvas.short(shown.id, 40)}{view}"
    figure.text(1 - RIGHT / WIDTH, y, name, fontsize=8.5, color=canvas.QUIET, ha="right")


def _frames(axes: Axes, strip: _Strip) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    low, high = strip.limits()
    if strip.frames is None:
        reason = f"no frames: {strip.shown.missing.get('frames', 'they were not kept')}"
        axes.text(0, 0.4, canvas.short(reason, 130), fontsize=8.5, color=canvas.QUIET)
    else:
        _, rows, columns, _ = strip.frames.shape
        inches = strip.height * 0.96 * columns / rows
        half = inches / (WIDTH - LEFT - RIGHT) * (high - low) / 2
        for moment, picture in zip(strip.moments(), strip.frames, strict=True):
            place = (moment - half, moment + half, 0.0, 1.0)
            # Not resampled: a vector file then holds each pixel once.
            axes.imshow(picture, extent=place, aspect="auto", interpolation="none")
        axes.set_xlim(low, high)
    axes.set_ylim(0, 1)


def _gates(axes: Axes, strip: _Strip) -> None:
    colours = canvas.teacher_colours(tuple(strip.shown.gates))
    for name, gate in strip.shown.gates.items():
        axes.plot(_centres(strip, len(gate)), gate, color=colours[name], linewidth=1.8)
    axes.set_xlim(*strip.limits())
    axes.set_ylim(-0.06, 1.25)
    axes.set_yticks([0, 1], ["shut", "open"], fontsize=8)
    axes.axhline(0, color=canvas.FAINT, linewidth=0.8, zorder=0)
    axes.axhline(1, color=canvas.FAINT, linewidth=0.8, zorder=0)
    seconds = strip.shown.frame_seconds or tuple(strip.moments())
    ticks = [f"{second:.2f} s" for second in seconds]
    axes.set_xticks(strip.moments(), ticks, fontsize=8)
    axes.tick_params(axis="x", pad=2)


def _centres(strip: _Strip, count: int) -> Float64[ndarray, " position"]:
    """Give the middle of what each temporal position saw; evenly, where that isn't known."""
    spans = np.array(strip.shown.gate_seconds, dtype=np.float64).reshape(-1, 2)
    if len(spans) == count and spans[-1, 1] > spans[0, 0]:
        return spans.mean(axis=1)
    low, high = strip.moments()[[0, -1]]
    return low + (np.arange(count) + 0.5) / count * (high - low)


def _legend(figure: Figure, shown: Sequence[Shown]) -> None:
    names = dict.fromkeys(name for clip in shown for name in clip.gates)
    colours = canvas.teacher_colours(tuple(names))
    for name in names:
        label = f"gate of {canvas.short(name)}"
        figure.axes[0].plot([], [], color=colours[name], linewidth=2.5, label=label)
    if names:
        figure.legend(loc="upper right", ncols=4, fontsize=8.5, frameon=False)

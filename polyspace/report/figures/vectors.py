"""What a converter does: the student's vectors before, translated, and the teacher's own."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray
from sklearn.decomposition import PCA

from polyspace.report.figures import canvas
from polyspace.report.records.arrays import Vectors

Points = Float[ndarray, "clip 2"]


@dataclass(frozen=True, eq=False)
class Projection:
    """Points of the clips in every space."""

    student: Points
    translated: Mapping[str, Points]
    true: Mapping[str, Points]
    """By teacher; in one plane with `translated`."""
    labels: Int64[ndarray, " clip"]
    held: Mapping[str, str] = field(default_factory=dict[str, str])
    """What is said behind a space's name: the variance that its plane holds."""


def draw(shown: Projection, teachers: tuple[str, ...], class_names: tuple[str, ...]) -> Figure:
    """Draw three panels for each teacher; the last two share their axes.

    Of more than ten classes, the ten with the most clips have a colour.
    """
    figure = canvas.figure(9.6, 0.9 + 3.0 * len(teachers))
    labels, held = shown.labels, shown.held
    coloured = _commonest(labels, len(class_names))
    for row, teacher in enumerate(teachers):
        panels = [figure.add_subplot(len(teachers), 3, 3 * row + n) for n in (1, 2, 3)]
        said, true = shown.translated[teacher], shown.true[teacher]
        name = canvas.short(teacher)
        _panel(panels[0], shown.student, labels, coloured, f"student{held.get('student', '')}")
        _panel(panels[1], said, labels, coloured, f"translated into {name}")
        _panel(panels[2], true, labels, coloured, f"{name}{held.get(teacher, '')}")
        _share(panels[1], panels[2], np.concatenate([said, true]))
    _legend(figure, coloured, class_names)
    return figure


def principal(vectors: Vectors) -> Projection:
    """Project on principal components: the student's own, and those of translated and true."""
    student, explained = project(vectors.student)
    held = {"student": f" ({explained * 100:.0f} %)"}
    translated: dict[str, Points] = {}
    true: dict[str, Points] = {}
    for teacher, said in vectors.translated.items():
        joint, share = project(np.concatenate([said, vectors.true[teacher]]))
        translated[teacher], true[teacher] = np.split(joint, 2)
        held[teacher] = f" ({share * 100:.0f} %)"
    return Projection(student, translated, true, vectors.labels, held)


def project(values: Float[ndarray, "clip dim"]) -> tuple[Points, float]:
    """Project on the two directions of most variance; give also the share they hold."""
    pca = PCA(n_components=2, svd_solver="full")
    return pca.fit_transform(values), float(pca.explained_variance_ratio_.sum())


def _commonest(labels: Int64[ndarray, " clip"], classes: int) -> list[int]:
    counts = np.bincount(labels, minlength=classes)
    most = np.argsort(-counts, kind="stable")[: len(canvas.CLASSES)]
    return sorted(int(label) for label in most)


def _panel(
    axes: Axes, points: Points, labels: Int64[ndarray, " clip"], coloured: list[int], title: str
) -> None:
    canvas.quiet(axes).set_title(title, fontsize=10, loc="left")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_facecolor(canvas.GROUND)
    others = points[~np.isin(labels, coloured)]
    axes.scatter(others[:, 0], others[:, 1], s=6, color="#c4cbd2", linewidths=0, rasterized=True)
    for place, label in enumerate(coloured):
        own = points[labels == label]
        _scatter(axes, own, place, rasterized=len(points) > 500)


def _scatter(
    axes: Axes, points: Points, place: int, *, label: str = "", rasterized: bool = False
) -> None:
    axes.scatter(
        points[:, 0],
        points[:, 1],
        s=20,
        color=canvas.CLASSES[place],
        marker=canvas.MARKERS[place],
        alpha=0.8,
        linewidths=0,
        label=label,
        rasterized=rasterized,
    )


def _share(first: Axes, second: Axes, points: Points) -> None:
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.05 * (high - low) + 1e-9
    for axes in (first, second):
        axes.set_xlim(low[0] - margin[0], high[0] + margin[0])
        axes.set_ylim(low[1] - margin[1], high[1] + margin[1])


def _legend(figure: Figure, coloured: list[int], class_names: tuple[str, ...]) -> None:
    axes = figure.axes[0]
    for place, label in enumerate(coloured):
        _scatter(axes, np.empty((0, 2)), place, label=canvas.short(class_names[label], 20))
    signs, names = axes.get_legend_handles_labels()
    figure.legend(signs, names, loc="outside lower center", ncols=5, fontsize=9, frameon=False)

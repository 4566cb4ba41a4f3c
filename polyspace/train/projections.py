"""Two dimensions to look at: t-SNE and UMAP of the spaces, translated and true ones together."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec

import numpy as np
from jaxtyping import Float, Float32, Int64
from numpy import ndarray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from polyspace.errors import ConfigError

CLIPS = 600
"""Clips that are projected at most, evenly over all; the time grows faster than their number."""
COMPONENTS = 50
"""Principal components that are kept first. Source: van der Maaten & Hinton (2008), section 4.2."""
PERPLEXITY = 30.0
"""Of t-SNE, at most; a quarter of the points where they are few."""

Points = Float32[ndarray, "clip 2"]
Fit = Callable[[Float[ndarray, "point dim"], int], Float[ndarray, "point 2"]]


def project(
    vectors: Mapping[str, Float32[ndarray, "clip _"]],
    labels: Int64[ndarray, " clip"],
    *,
    student: str,
    teachers: Sequence[str],
    seed: int,
    umap: bool = False,
) -> dict[str, ndarray]:
    """Project all spaces.

    A teacher's true vectors and what is translated into it are projected together, so that their
    points can be compared; the student's have axes of their own.

    Args:
        vectors: By space; translations are called ``translated:`` and their teacher.
        labels: Classes of the clips.
        student: Its space.
        teachers: Their spaces.
        seed: Of both methods.
        umap: Whether UMAP is drawn, too.

    Returns:
        "labels" of the clips that were taken, and by method and space, as in "tsne/videomae",
        their points.

    Raises:
        ConfigError: UMAP was asked for and isn't installed.
    """
    count = len(vectors[student])
    taken = np.unique(np.linspace(0, count - 1, min(count, CLIPS)).astype(np.int64))
    found: dict[str, ndarray] = {"labels": labels[taken]}
    for name, fit in ({"tsne": _tsne} | ({"umap": _umap} if umap else {})).items():
        found[f"{name}/{student}"] = _fitted(fit, [vectors[student][taken]], seed)[0]
        for teacher in teachers:
            both = [f"translated:{teacher}", teacher]
            points = _fitted(fit, [vectors[space][taken] for space in both], seed)
            found |= {f"{name}/{space}": own for space, own in zip(both, points, strict=True)}
    return found


def refuse_missing_umap() -> None:
    """Refuse before anything is trained.

    Raises:
        ConfigError: umap-learn isn't installed.
    """
    if find_spec("umap") is None:
        raise ConfigError(
            "--umap needs umap-learn, which isn't installed: pip install 'polyspace[umap]', or "
            "leave --umap out"
        )


def _fitted(fit: Fit, spaces: Sequence[ndarray], seed: int) -> list[Points]:
    """Project the clips of some spaces together."""
    points = np.concatenate(spaces)
    most = min(COMPONENTS, *points.shape)
    kept = PCA(most, random_state=seed).fit_transform(points)
    return [part.astype(np.float32) for part in np.split(fit(kept, seed), len(spaces))]


def _tsne(points: Float[ndarray, "point dim"], seed: int) -> Float[ndarray, "point 2"]:
    near = min(PERPLEXITY, (len(points) - 1) / 4)
    return TSNE(perplexity=near, init="pca", random_state=seed).fit_transform(points)


def _umap(points: Float[ndarray, "point dim"], seed: int) -> Float[ndarray, "point 2"]:
    refuse_missing_umap()
    near = min(15, len(points) - 1)
    return (
        import_module("umap")
        .UMAP(n_neighbors=near, random_state=seed, n_jobs=1)
        .fit_transform(points)
    )

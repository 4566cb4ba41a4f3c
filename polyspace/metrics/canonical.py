"""How much two spaces share up to any linear map: correlations of their principal components."""

import numpy as np

from polyspace.metrics import spaces
from polyspace.metrics.spectrum import Spectrum


def svcca(first: Spectrum, second: Spectrum) -> float:
    """Give the mean canonical correlation of the components that hold 99 % of the variance.

    From 0 to 1. It grows with the components per clip: `chance` says how far for spaces that share
    nothing.

    Raises:
        MetricError: Other clips.

    Source: Raghu et al. (arXiv 1706.05806).
    """
    spaces.check_pair(first.vectors, second.vectors)
    # Turns centred vectors into uncorrelated components of length one.
    whiten, whiten_second = (
        each.axes[: each.kept].T / each.values[: each.kept] for each in (first, second)
    )
    correlations = np.zeros((first.kept, second.kept))
    for part, product in spaces.cross(first.vectors, second.vectors):
        correlations += whiten[part].T @ (product @ whiten_second)
    return float(np.linalg.svd(correlations, compute_uv=False).clip(0, 1).mean())


def chance(first: Spectrum, second: Spectrum) -> float:
    """Give what `svcca` stays below on average where the clips of one space are shuffled.

    The squared correlations of p and q components sum up to ``p q / (clips - 1)`` on average over
    all orders of the clips, and the mean is at most the root of the mean square.

    Source: the expected RV coefficient, Kazi-Aoual et al. (1995), of whitened components.
    """
    return min(1.0, (max(first.kept, second.kept) / (len(first.vectors) - 1)) ** 0.5)

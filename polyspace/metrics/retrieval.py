"""Whether a translated clip finds its own true features among everybody's."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64
from numpy import ndarray

from polyspace.metrics import spaces
from polyspace.metrics.neighbours import unit

LEAST = 6
"""Clips among which a place within the first five says something."""


@dataclass(frozen=True)
class Retrieval:
    """Ranks of the true features among all clips'; by chance, rank (clips + 1) / 2."""

    top1: float
    """Share of clips whose own true features are the nearest ones."""
    top5: float
    mean_rank: float
    """1 is best."""
    median_rank: float
    clips: int


def retrieve(
    translated: Float[ndarray, "clip dim"], true: Float[ndarray, "true_clip dim"]
) -> Retrieval:
    """Rank all true features by their cosine with each translated clip.

    Others that tie with the clip's own rank before it: constant features find nothing.

    Raises:
        MetricError: Fewer than six clips, other clips, or values that aren't numbers.

    Source: Jha et al. (arXiv 2505.12540), top-1 and mean rank of translated embeddings.
    """
    spaces.check_pair(translated, true)
    for name, vectors in (("translated", translated), ("true", true)):
        spaces.check_numbers(vectors, least=LEAST, name=name)
    ranks = _ranks(unit(translated), unit(true))
    return Retrieval(
        top1=float((ranks <= 1).mean()),
        top5=float((ranks <= 5).mean()),
        mean_rank=float(ranks.mean()),
        median_rank=float(np.median(ranks)),
        clips=len(ranks),
    )


def _ranks(
    translated: Float64[ndarray, "clip dim"], true: Float64[ndarray, "clip dim"]
) -> Float64[ndarray, " clip"]:
    ranks = np.empty(len(true))
    for rows in spaces.blocks(len(true)):
        cosines = translated[rows] @ true.T
        own = cosines[np.arange(len(cosines)), np.arange(rows.start, rows.stop)]
        ranks[rows] = (cosines >= own[:, None]).sum(axis=1)
    return ranks

"""Which classifiers there are."""

from typing import Literal

from polyspace.models.grids import TokenShape
from polyspace.models.heads.attending import AttentiveHead, MeanAttentionHead
from polyspace.models.heads.pooled import CellsHead, LinearHead

HeadKind = Literal["cells", "linear", "mean_attention", "attentive"]
"""cells: linear over each cell's mean and spread in time. linear: over the mean of all tokens.
mean_attention: a perceptron over that and a learned query's mean. attentive: attention blocks."""

Head = CellsHead | LinearHead | MeanAttentionHead | AttentiveHead

PLAIN = {"cells": CellsHead, "linear": LinearHead, "mean_attention": MeanAttentionHead}


def make(
    kind: HeadKind, shape: TokenShape, *, classes: int, dropout: float, hidden: int, depth: int
) -> Head:
    """Make a classifier that has no opinion yet; `depth` is for attentive alone."""
    if kind == "attentive":
        return AttentiveHead(shape, classes=classes, dropout=dropout, hidden=hidden, depth=depth)
    return PLAIN[kind](shape, classes=classes, dropout=dropout, hidden=hidden)

"""Classifiers that learn which tokens to look at."""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from polyspace.models.attention import Block
from polyspace.models.grids import TokenShape
from polyspace.models.heads.pooled import Residual, silent


class MeanAttentionHead(nn.Module):
    """A perceptron over the mean of all tokens, mixed with a mean that one learned query weighs.

    Source: TC-BombKD's advanced head. A query that starts near zero instead of at it, where its
    direction is undefined, is ours.
    """

    def __init__(self, shape: TokenShape, *, classes: int, dropout: float, hidden: int = 0) -> None:
        super().__init__()
        self.deeper = Residual(shape.dim, hidden) if hidden else nn.Identity()
        self.query = nn.Parameter(0.02 * torch.randn(shape.dim))
        self.sharpness = nn.Parameter(torch.zeros(()))
        self.attention_share = nn.Parameter(torch.tensor(0.5))
        self.think = nn.Sequential(
            nn.LayerNorm(shape.dim), nn.Linear(shape.dim, shape.dim), nn.GELU(), nn.Dropout(dropout)
        )
        self.linear = silent(shape.dim, classes)

    def forward(self, tokens: Float[Tensor, "clip time space dim"]) -> Float[Tensor, "clip label"]:
        """Classify clips by their standardised tokens."""
        flat = self.deeper(tokens.flatten(1, 2))
        scores = (flat @ functional.normalize(self.query, dim=0)) * self.sharpness.exp()
        attended = (scores.softmax(dim=1)[..., None] * flat).sum(dim=1)
        share = torch.sigmoid(self.attention_share)
        return self.linear(self.think(share * attended + (1 - share) * flat.mean(dim=1)))


class AttentiveHead(nn.Module):
    """Tokens attend to each other, then one learned query to them: the attentive probe.

    Source: V-JEPA 2 (arXiv 2506.09985), whose probes have four blocks, the last of which is the
    query's; Set Transformer (arXiv 1810.00825), 3.2, for pooling by attention.
    """

    def __init__(
        self, shape: TokenShape, *, classes: int, dropout: float, hidden: int = 0, depth: int = 1
    ) -> None:
        """Make a head that has no opinion yet.

        Args:
            shape: Of the tokens.
            classes: How many.
            dropout: Share of the classifier's inputs that training drops.
            hidden: Width of a perceptron that every token passes first; 0: none.
            depth: Blocks; the last is the query's.
        """
        super().__init__()
        self.deeper = Residual(shape.dim, hidden) if hidden else nn.Identity()
        self.blocks = nn.ModuleList(Block(shape.dim) for _ in range(depth - 1))
        self.query = nn.Parameter(0.02 * torch.randn(1, shape.dim))
        self.read = Block(shape.dim)
        self.norm = nn.LayerNorm(shape.dim)
        self.drop = nn.Dropout(dropout)
        self.linear = silent(shape.dim, classes)

    def forward(self, tokens: Float[Tensor, "clip time space dim"]) -> Float[Tensor, "clip label"]:
        """Classify clips by their standardised tokens."""
        flat = self.deeper(tokens.flatten(1, 2))
        for block in self.blocks:
            flat = cast(Block, block)(flat, flat)
        found = self.read(self.query.expand(flat.shape[0], -1, -1), flat)
        return self.linear(self.drop(self.norm(found.squeeze(1))))

"""A clip summed up in a few tokens, from which the teacher's grid is drawn."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from polyspace.models.attention import Answer, Block, Embedding
from polyspace.models.grids import TokenShape

SELECTORS = 32


class TokenLearner(nn.Module):
    """Each selector sums up the student's tokens with weights of its own; learned queries decode.

    Source: TokenLearner (arXiv 2106.11297), equation 2, with a softmax over tokens as in its
    version 1.1; the original's converter D. The zero start is ours.
    """

    def __init__(self, source: TokenShape, target: TokenShape, hidden: int) -> None:
        super().__init__()
        self.tokens = Embedding(source, hidden)
        self.select = nn.Sequential(
            nn.LayerNorm(hidden),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Linear(hidden, SELECTORS),
        )
        self.queries = nn.Parameter(0.02 * torch.randn(target.time * target.space, hidden))
        self.tell = Block(hidden)
        self.answer = Answer(hidden, target)

    def forward(
        self, student: Float[Tensor, "clip time space dim"]
    ) -> Float[Tensor, "clip time_out space_out dim_out"]:
        """Give what to add to the linear map's tokens."""
        tokens = self.tokens(student)
        weights = self.select(tokens).softmax(dim=1)
        learned = weights.mT @ tokens
        return self.answer(self.tell(self.queries.expand(student.shape[0], -1, -1), learned))

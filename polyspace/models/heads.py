"""The classifier that student, teachers and fusion share, so that comparisons compare features."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from polyspace.models.grids import TokenShape
from polyspace.models.normalizers import Standardizer


class Head(nn.Module):
    """A linear classifier over each cell's mean and spread in time.

    The mean keeps what a clip shows and where, the spread how much it changes; both keep the
    picture's cells apart, because a zoom and a pan differ only in where things move to. `norm` is
    measured on training clips before the rest is trained, as a probe's scaler is.
    """

    def __init__(self, shape: TokenShape, *, classes: int, dropout: float, hidden: int = 0) -> None:
        super().__init__()
        wide = 2 * shape.space * shape.dim
        self.norm = Standardizer(wide)
        self.deeper = Residual(wide, hidden) if hidden else nn.Identity()
        self.drop = nn.Dropout(dropout)
        self.linear = nn.Linear(wide, classes)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, tokens: Float[Tensor, "clip time space dim"]) -> Float[Tensor, "clip label"]:
        """Classify clips by their standardised tokens."""
        return self.linear(self.drop(self.deeper(self.norm(pool(tokens)))))


class Residual(nn.Module):
    """A perceptron beside the identity, starting at zero: capacity for whoever must have more."""

    def __init__(self, wide: int, hidden: int) -> None:
        super().__init__()
        self.up = nn.Linear(wide, hidden)
        self.down = nn.Linear(hidden, wide)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def forward(self, vectors: Float[Tensor, "clip wide"]) -> Float[Tensor, "clip wide"]:
        """Add to each vector what the perceptron makes of it."""
        return vectors + self.down(functional.gelu(self.up(vectors)))


def pool(tokens: Float[Tensor, "clip time space dim"]) -> Float[Tensor, "clip wide"]:
    """Give each cell's mean and standard deviation over time; `wide` is 2 * space * dim."""
    spread = tokens.var(dim=1, correction=0).add(1e-6).sqrt()
    return torch.cat([tokens.mean(dim=1), spread], dim=-1).flatten(1)

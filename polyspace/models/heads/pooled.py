"""Linear classifiers of tokens that are pooled by a fixed rule."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from polyspace.models.grids import TokenShape
from polyspace.models.normalizers import Standardizer


class PooledHead(nn.Module, ABC):
    """A linear classifier over pooled tokens.

    `norm` is measured on training clips before the rest is trained, as a probe's scaler is.
    """

    def __init__(self, wide: int, *, classes: int, dropout: float, hidden: int) -> None:
        """Make a head that has no opinion yet.

        Args:
            wide: Dimensions of what `pool` gives.
            classes: How many.
            dropout: Share of the classifier's inputs that training drops.
            hidden: Width of a perceptron before the classifier; 0: none.
        """
        super().__init__()
        self.norm = Standardizer(wide)
        self.deeper = Residual(wide, hidden) if hidden else nn.Identity()
        self.drop = nn.Dropout(dropout)
        self.linear = silent(wide, classes)

    @abstractmethod
    def pool(self, tokens: Float[Tensor, "clip time space dim"]) -> Float[Tensor, "clip wide"]:
        """Sum a clip's tokens up in one vector."""

    def forward(self, tokens: Float[Tensor, "clip time space dim"]) -> Float[Tensor, "clip label"]:
        """Classify clips by their standardised tokens."""
        return self.linear(self.drop(self.deeper(self.norm(self.pool(tokens)))))


class CellsHead(PooledHead):
    """A linear classifier over each cell's mean and spread in time.

    The mean keeps what a clip shows and where, the spread how much it changes; both keep the
    picture's cells apart, because a zoom and a pan differ only in where things move to.
    """

    def __init__(self, shape: TokenShape, *, classes: int, dropout: float, hidden: int = 0) -> None:
        wide = 2 * shape.space * shape.dim
        super().__init__(wide, classes=classes, dropout=dropout, hidden=hidden)

    def pool(self, tokens: Float[Tensor, "clip time space dim"]) -> Float[Tensor, "clip wide"]:
        """Give each cell's mean and standard deviation over time."""
        return pool(tokens)


class LinearHead(PooledHead):
    """A linear classifier over the mean of all tokens: the usual linear probe."""

    def __init__(self, shape: TokenShape, *, classes: int, dropout: float, hidden: int = 0) -> None:
        super().__init__(shape.dim, classes=classes, dropout=dropout, hidden=hidden)

    def pool(self, tokens: Float[Tensor, "clip time space dim"]) -> Float[Tensor, "clip dim"]:
        """Give the mean token."""
        return tokens.mean(dim=(1, 2))


class Residual(nn.Module):
    """A perceptron beside the identity, starting at zero: capacity for whoever must have more."""

    def __init__(self, wide: int, hidden: int) -> None:
        super().__init__()
        self.up = nn.Linear(wide, hidden)
        self.down = silent(hidden, wide)

    def forward(self, vectors: Float[Tensor, "*some wide"]) -> Float[Tensor, "*some wide"]:
        """Add to each vector what the perceptron makes of it."""
        return vectors + self.down(functional.gelu(self.up(vectors)))


def silent(wide: int, out: int) -> nn.Linear:
    """Make a linear layer that says nothing until it has learned something."""
    layer = nn.Linear(wide, out)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def pool(tokens: Float[Tensor, "clip time space dim"]) -> Float[Tensor, "clip wide"]:
    """Give each cell's mean and standard deviation over time; `wide` is 2 * space * dim."""
    mean = tokens.mean(dim=1)
    # Not torch's var, which takes ten times as long over an axis that isn't the last.
    spread = (tokens - mean[:, None]).square().mean(dim=1).add(1e-6).sqrt()
    return torch.cat([mean, spread], dim=-1).flatten(1)

"""A trunk: what all converters share, between the student's standardised tokens and their maps."""

from jaxtyping import Float
from torch import Tensor, nn

BLOCKS = 2
"""Residual blocks of a trunk."""


class Trunk(nn.Module):
    """Residual blocks on each token by itself; an untrained trunk is the identity.

    Source: the blocks are those of RADIO's adaptors (arXiv 2312.06709); that they end in zeros is
    UNIC's adapter (arXiv 2408.05088).
    """

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(Block(dim, width) for _ in range(BLOCKS)))

    def forward(self, tokens: Float[Tensor, "*token dim"]) -> Float[Tensor, "*token dim"]:
        """Give what every converter takes in the place of the student's tokens."""
        return self.blocks(tokens)


class Block(nn.Module):
    """A perceptron beside the tokens, whose last layer starts at zero."""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.up = nn.Linear(dim, width)
        self.down = nn.Linear(width, dim)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def forward(self, tokens: Float[Tensor, "*token dim"]) -> Float[Tensor, "*token dim"]:
        """Add what the perceptron says of each token."""
        return tokens + self.down(nn.functional.gelu(self.up(self.norm(tokens))))

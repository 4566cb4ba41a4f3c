"""What modules that attend are made of."""

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn
from torch.nn import functional

from polyspace.models.grids import TokenShape, side_of

OCTAVES = 5
"""Frequencies of a coordinate: half a period over the clip or picture, and doublings of it."""


class Embedding(nn.Module):
    """Tokens in the width of a branch, each knowing its time and its place in the picture.

    Coordinates are those of the cells' centres as shares of the clip and of the picture, so that
    tokens of two grids that show the same moment know the same.

    Source: NeRF (arXiv 2003.08934), equation 4, for coordinates as sines and cosines.
    """

    where: Tensor

    def __init__(self, shape: TokenShape, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(shape.dim)
        self.project = nn.Linear(shape.dim, width)
        where = coordinates(shape)
        self.place = nn.Linear(where.shape[-1], width, bias=False)
        self.register_buffer("where", where, persistent=False)

    def forward(
        self, tokens: Float[Tensor, "clip time space dim"]
    ) -> Float[Tensor, "clip token width"]:
        """Flatten the grid, time before space."""
        return self.project(self.norm(tokens.flatten(1, 2))) + self.place(self.where)


class Attention(nn.Module):
    """Multi-head attention of some tokens to others of the same clip.

    Source: Vaswani et al. (arXiv 1706.03762), 3.2.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = heads_of(width)
        self.ask = nn.Linear(width, width)
        self.offer = nn.Linear(width, 2 * width)
        self.merge = nn.Linear(width, width)

    def forward(
        self, tokens: Float[Tensor, "batch token width"], others: Float[Tensor, "batch _ width"]
    ) -> Float[Tensor, "batch token width"]:
        """Give each token the mean of the others' values, weighed by how well they answer it."""
        keys, values = self.offer(others).chunk(2, dim=-1)
        asked, keys, values = (self._split(part) for part in (self.ask(tokens), keys, values))
        found = functional.scaled_dot_product_attention(asked, keys, values)
        return self.merge(found.transpose(1, 2).flatten(2))

    def _split(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Block(nn.Module):
    """Attention and a perceptron, each beside the identity and after a normalisation.

    Source: Xiong et al. (arXiv 2002.04745), the pre-norm block.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.norm_others = nn.LayerNorm(width)
        self.attend = Attention(width)
        self.perceptron = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Dropout(0.1),
            nn.Linear(2 * width, width),
        )

    def forward(
        self, tokens: Float[Tensor, "batch token width"], others: Float[Tensor, "batch _ width"]
    ) -> Float[Tensor, "batch token width"]:
        """Let tokens take from others; both may be the same."""
        tokens = tokens + self.attend(self.norm(tokens), self.norm_others(others))
        return tokens + self.perceptron(tokens)


class Answer(nn.Module):
    """The end of a branch: nothing until it has learned something."""

    def __init__(self, width: int, target: TokenShape) -> None:
        super().__init__()
        self.grid = target.time, target.space
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, target.dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, tokens: Float[Tensor, "clip token width"]
    ) -> Float[Tensor, "clip time space dim"]:
        """Bring tokens back onto the grid, and to the teacher's dimensions."""
        return self.out(self.norm(tokens)).unflatten(1, self.grid)


def coordinates(shape: TokenShape) -> Float32[Tensor, "token waves"]:
    """Give sines and cosines of each token's time, row and column."""
    side = side_of(shape.space)
    centres = [(torch.arange(count) + 0.5) / count for count in (shape.time, side, side)]
    cells = torch.cartesian_prod(*centres)
    angles = cells[..., None] * torch.pi * 2.0 ** torch.arange(OCTAVES)
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(1)


def heads_of(width: int) -> int:
    """Give as many heads of about 32 dimensions as divide the width."""
    most = max(1, width // 32)
    return next(heads for heads in range(most, 0, -1) if width % heads == 0)

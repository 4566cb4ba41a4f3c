"""Maps of single tokens: what a converter does to each token by itself."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from polyspace.models.closed_form import Affine


class LinearMap(nn.Linear):
    """One affine map for every token."""

    def start_at(self, fit: Affine) -> None:
        """Take the solution over as weight and bias."""
        with torch.no_grad():
            self.weight.copy_(fit.weight.T)
            self.bias.copy_(fit.bias)


class LowRankMap(nn.Module):
    """An affine map through a bottleneck: fewer weights, the same for every token."""

    def __init__(self, wide: int, dim: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Linear(wide, rank, bias=False)
        self.up = nn.Linear(rank, dim)

    def start_at(self, fit: Affine) -> None:
        """Take the solution over; what is beyond the bottleneck's rank is lost."""
        left, strengths, right = torch.linalg.svd(fit.weight, full_matrices=False)
        half = strengths[: self.down.out_features].sqrt()
        with torch.no_grad():
            self.down.weight.copy_((left[:, : len(half)] * half).T)
            self.up.weight.copy_((half[:, None] * right[: len(half)]).T)
            self.up.bias.copy_(fit.bias)

    def forward(self, tokens: Float[Tensor, "*token wide"]) -> Float[Tensor, "*token dim"]:
        """Map each token by itself."""
        return self.up(self.down(tokens))


class ResidualMap(nn.Module):
    """An affine map plus a gated-linear perceptron that starts at zero.

    It can't start worse than the closed-form solution, and learns only what that leaves over.

    Source: the zero-initialised branch is UNIC's adapter (arXiv 2408.05088), the unit SwiGLU
    (arXiv 2002.05202).
    """

    def __init__(self, wide: int, dim: int, hidden: int) -> None:
        super().__init__()
        self.linear = LinearMap(wide, dim)
        self.norm = nn.LayerNorm(wide)
        self.up = nn.Linear(wide, 2 * hidden)
        self.drop = nn.Dropout(0.1)
        self.down = nn.Linear(hidden, dim)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def start_at(self, fit: Affine) -> None:
        """Let the affine part be the solution; the branch adds nothing yet."""
        self.linear.start_at(fit)

    def forward(self, tokens: Float[Tensor, "*token wide"]) -> Float[Tensor, "*token dim"]:
        """Map each token by itself."""
        value, gate = self.up(self.norm(tokens)).chunk(2, dim=-1)
        return self.linear(tokens) + self.down(self.drop(value * nn.functional.silu(gate)))

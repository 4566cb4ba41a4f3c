"""Concatenation: the classifier sees student and teachers side by side."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from polyspace.models.grids import TokenShape, resample
from polyspace.models.joins.joined import Joined, Present, Tokens


class ConcatenatedJoin(nn.Module):
    """Puts a projection of each teacher's translation beside the student's tokens.

    ::

        z' = [z ; D_1 t_1 ; ... ; D_K t_K]              D_k down to `rank`, orthogonal at first

    A teacher that is missing leaves zeros, the mean of standardised tokens. There are no gates: it
    is the baseline of those that have some.
    """

    def __init__(
        self, student: TokenShape, teachers: Mapping[str, TokenShape], *, rank: int
    ) -> None:
        super().__init__()
        self.student = student
        self.down = nn.ModuleDict(
            {name: _projection(shape.dim, rank) for name, shape in teachers.items()}
        )
        added = sum(min(rank, shape.dim) for shape in teachers.values())
        self.shape = replace(student, dim=student.dim + added)

    def forward(
        self, student: Float[Tensor, "clip time space dim"], translated: Tokens, present: Present
    ) -> Joined:
        """Put the teachers that are present beside the student."""
        grid = {"time": self.student.time, "space": self.student.space}
        parts = [
            resample(module(translated[name]), **grid) * present[name][:, None, None, None]
            for name, module in self.down.items()
        ]
        return Joined(torch.cat([student, *parts], dim=-1), {}, {})


def _projection(dim: int, rank: int) -> nn.Linear:
    layer = nn.Linear(dim, min(rank, dim), bias=False)
    nn.init.orthogonal_(layer.weight)
    return layer

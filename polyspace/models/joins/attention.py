"""Attention over teachers: each of the student's tokens asks which of them to listen to."""

from collections.abc import Mapping
from math import sqrt

import torch
from jaxtyping import Float
from torch import Tensor, nn

from polyspace.models.grids import TokenShape, resample
from polyspace.models.joins.joined import GATE_WEIGHT, Joined, Present, Tokens


class AttentionJoin(nn.Module):
    """Adds the mean of the teachers' translations, weighed by how well each answers the student.

    Token by token, with a key n that belongs to nobody, so that all teachers can be refused::

        a  = softmax([Q z . K_1 t_1, ..., Q z . K_K t_K, Q z . n] / sqrt(rank))
        z' = z + U sum_k a_k V_k t_k                    U up to the student's; starts at zero

    Source: AdapterFusion (arXiv 2005.00247), 3.3, which weighs adapters this way; nobody's key and
    the zero start are ours.
    """

    def __init__(
        self, student: TokenShape, teachers: Mapping[str, TokenShape], *, rank: int
    ) -> None:
        super().__init__()
        self.shape, self.rank = student, rank
        self.ask = nn.Linear(student.dim, rank, bias=False)
        self.offer = nn.ModuleDict(
            {name: nn.Linear(shape.dim, 2 * rank, bias=False) for name, shape in teachers.items()}
        )
        self.nobody = nn.Parameter(torch.zeros(rank))
        self.up = nn.Linear(rank, student.dim, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(
        self, student: Float[Tensor, "clip time space dim"], translated: Tokens, present: Present
    ) -> Joined:
        """Add what the student's tokens find among the teachers that are present."""
        asked = self.ask(student) / sqrt(self.rank)
        scores, values = [(asked * self.nobody).sum(-1).float()], list[Tensor]()
        for name, module in self.offer.items():
            offered = resample(
                module(translated[name]), time=self.shape.time, space=self.shape.space
            )
            key, value = offered.chunk(2, dim=-1)
            missing = present[name][:, None, None] == 0
            scores.append((asked * key).sum(-1).float().masked_fill(missing, -torch.inf))
            values.append(value)
        weights = torch.stack(scores, dim=-1).softmax(dim=-1)[..., 1:]
        found = (weights[..., None] * torch.stack(values, dim=-2)).sum(dim=-2)
        gates = dict(zip(self.offer, weights.unbind(-1), strict=True))
        penalty = GATE_WEIGHT * weights.mean()
        return Joined(student + self.up(found), gates, {"gates": penalty})

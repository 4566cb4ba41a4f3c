"""Mixture of experts: a router sends each of the student's tokens to few teachers."""

from collections.abc import Mapping
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from polyspace.models.grids import TokenShape, resample
from polyspace.models.joins.joined import Joined, Present, Tokens

CHOSEN = 2
"""Teachers that a token is sent to, at most."""

BALANCE_WEIGHT = 1e-2
"""Source: Switch Transformers (arXiv 2101.03961), below equation 4."""


class ExpertsJoin(nn.Module):
    """Adds what the teachers say that a router chose from the student's token alone.

    Token by token, with an expert 0 that adds nothing::

        p  = softmax(R z)                               over the K teachers and expert 0
        z' = z + sum_{k in the best two of p} p_k U_k D_k t_k     U_k starts at zero

    Expert 0 may be one of the two. The loss keeps tokens from crowding on one of the experts:
    0.01 (K + 1) sum_k f_k P_k, with f_k the share of tokens whose best is k, P_k the mean of p_k.

    Source: Shazeer et al. (arXiv 1701.06538), section 2, without its noise; Switch Transformers
    (arXiv 2101.03961), equations 4 to 6, for the balance; an expert that adds nothing is a
    zero expert of MoE++ (arXiv 2410.07348).
    """

    def __init__(
        self, student: TokenShape, teachers: Mapping[str, TokenShape], *, rank: int
    ) -> None:
        super().__init__()
        self.shape = student
        self.route = nn.Linear(student.dim, 1 + len(teachers))
        self.experts = nn.ModuleDict(
            {name: Expert(student, shape, rank) for name, shape in teachers.items()}
        )

    def forward(
        self, student: Float[Tensor, "clip time space dim"], translated: Tokens, present: Present
    ) -> Joined:
        """Add what the chosen teachers say, of those that are present."""
        shares = self._shares(student, present)
        chosen = shares >= shares.topk(min(CHOSEN, shares.shape[-1])).values[..., -1:]
        gates = dict(zip(self.experts, (shares * chosen)[..., 1:].unbind(-1), strict=True))
        total = student
        for name, module in self.experts.items():
            total = total + gates[name][..., None] * cast(Expert, module)(translated[name])
        return Joined(total, gates, {"balance": BALANCE_WEIGHT * _crowding(shares)})

    def _shares(self, student: Tensor, present: Present) -> Float[Tensor, "clip time space expert"]:
        """Give the router's shares: none of them to teachers that are missing."""
        there = torch.stack([present[name] for name in self.experts], dim=-1)[:, None, None]
        everybody = torch.cat([torch.ones_like(there[..., :1]), there], dim=-1)
        return self.route(student).float().masked_fill(everybody == 0, -torch.inf).softmax(dim=-1)


class Expert(nn.Module):
    """What one teacher has to add: its translation through a bottleneck, nothing at first."""

    def __init__(self, student: TokenShape, teacher: TokenShape, rank: int) -> None:
        super().__init__()
        self.shape = student
        self.down = nn.Linear(teacher.dim, rank, bias=False)
        self.up = nn.Linear(rank, student.dim, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(
        self, translated: Float[Tensor, "clip _ _ teacher_dim"]
    ) -> Float[Tensor, "clip time space dim"]:
        """Bring a translation to the student's grid and dimensions."""
        narrow = resample(self.down(translated), time=self.shape.time, space=self.shape.space)
        return self.up(narrow)


def _crowding(shares: Float[Tensor, "clip time space expert"]) -> Float[Tensor, ""]:
    """Give 1 where tokens are spread evenly over experts, more where they crowd."""
    experts = shares.shape[-1]
    first = nn.functional.one_hot(shares.argmax(-1), experts).to(shares.dtype)
    return experts * (first.mean((0, 1, 2)) * shares.mean((0, 1, 2))).sum()

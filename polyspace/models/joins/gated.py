"""Residual gates: each teacher is added by itself, as far as its gate is open."""

from collections.abc import Mapping
from math import sqrt
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from polyspace.models.grids import TokenShape, resample
from polyspace.models.joins.joined import GATE_WEIGHT, Joined, Present, Tokens


class GatedJoin(nn.Module):
    """Adds each teacher's translation to the student's tokens through a gate.

    With K teachers, student tokens z and translations t_k, all standardised::

        g_k = sigmoid(w . gelu(W [t_k ; z]))            one scalar a token
        z'  = z + 1/sqrt(K) * sum_k g_k * U_k D_k t_k   D_k down to `rank`, U_k up to the student's

    U_k starts at zero. Source: the residual gate is TC-BombKD's fusion; standardising before the
    gates, which saturate otherwise, and the zero start are ours.
    """

    def __init__(
        self, student: TokenShape, teachers: Mapping[str, TokenShape], *, rank: int
    ) -> None:
        super().__init__()
        self.shape = student
        self.gates = nn.ModuleDict(
            {name: Gate(student, teacher, rank) for name, teacher in teachers.items()}
        )

    def forward(
        self, student: Float[Tensor, "clip time space dim"], translated: Tokens, present: Present
    ) -> Joined:
        """Add what the gates let in of the teachers that are present."""
        total, gates = student, dict[str, Tensor]()
        for name, module in self.gates.items():
            addition, gates[name] = cast(Gate, module)(student, translated[name], present[name])
            total = total + addition / sqrt(len(self.gates))
        means = [gate.float().mean() for gate in gates.values()]
        return Joined(total, gates, {"gates": GATE_WEIGHT * torch.stack(means).mean()})


class Gate(nn.Module):
    """Lets one teacher's translation into the student's tokens."""

    def __init__(self, student: TokenShape, teacher: TokenShape, rank: int) -> None:
        super().__init__()
        self.shape = student
        self.down = nn.Linear(teacher.dim, rank, bias=False)
        self.up = nn.Linear(rank, student.dim, bias=False)
        self.from_teacher = nn.Linear(teacher.dim, rank, bias=False)
        self.from_student = nn.Linear(student.dim, rank)
        self.openness = nn.Linear(rank, 1)
        nn.init.zeros_(self.up.weight)

    def forward(
        self,
        student: Float[Tensor, "clip time space dim"],
        translated: Float[Tensor, "clip _ _ teacher_dim"],
        present: Float[Tensor, " clip"],
    ) -> tuple[Float[Tensor, "clip time space dim"], Float[Tensor, "clip time space"]]:
        """Give what to add to the student's tokens, and the gate."""
        asked = self.from_student(student) + self._on_grid(self.from_teacher(translated))
        gate = torch.sigmoid(self.openness(functional.gelu(asked)))
        gate = gate * present[:, None, None, None].to(gate.dtype)
        # Weighed before `up`, where tokens are narrow.
        return self.up(gate * self._on_grid(self.down(translated))), gate.squeeze(-1)

    def _on_grid(self, tokens: Tensor) -> Tensor:
        """Resample after projecting: the same numbers, on `rank` dimensions instead of all."""
        return resample(tokens, time=self.shape.time, space=self.shape.space)

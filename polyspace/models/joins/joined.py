"""What every way of joining gives."""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

Tokens = Mapping[str, Float[Tensor, "clip _ _ _"]]
Present = Mapping[str, Float[Tensor, " clip"]]
"""1 where a clip has a teacher's translation, 0 where it does without."""


@dataclass(frozen=True, eq=False)
class Joined:
    """The student's tokens with what the teachers added."""

    tokens: Float[Tensor, "clip time space dim"]
    gates: Mapping[str, Float[Tensor, "clip time space"]]
    """How far each teacher was let in, between 0 and 1, on the student's grid."""
    penalties: Mapping[str, Float[Tensor, ""]]
    """What training keeps small besides the classifier's loss, weighted."""


GATE_WEIGHT = 1e-3
"""Weight of the mean gate in the loss: a teacher that doesn't help is closed. Source: TC-BombKD."""

"""Keeping the best: which state of a model the hold-out liked most."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, isnan

from torch import Tensor


@dataclass
class Best:
    """The state with the highest score so far; of equal ones, the first."""

    score: tuple[float, ...] = ()
    epoch: int = -1
    state: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])

    def offer(self, *score: float, epoch: int, state: Mapping[str, Tensor]) -> bool:
        """Take over a state if it scores higher; later parts of a score break ties.

        What is not a number ranks below every number.
        """
        # NaN compares false with everything: kept as it is, it would never be beaten.
        ranked = tuple(-inf if isnan(part) else part for part in score)
        if self.epoch >= 0 and not ranked > self.score:
            return False
        self.score, self.epoch = ranked, epoch
        self.state = {name: value.detach().clone() for name, value in state.items()}
        return True

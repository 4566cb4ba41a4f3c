"""Learning-rate schedules, as plain functions of progress."""

import math
from typing import Literal

ScheduleName = Literal["constant", "cosine", "one_cycle"]
"""What the rate does after its rise."""

ONE_CYCLE_START, ONE_CYCLE_END = 1 / 25, 1 / 250_000
"""Factors of the peak rate at both ends of one cycle."""


def factor(name: ScheduleName, done: int, total: int, *, warmup: float = 0.05) -> float:
    """Give the factor of the peak rate after `done` of `total` steps.

    Args:
        name: constant and cosine rise linearly, one_cycle along half a cosine.
        done: Steps that moved weights so far.
        total: Steps that the run will take.
        warmup: Share of the steps in which the rate rises; one step at least.

    Source: Loshchilov & Hutter, SGDR (arXiv 1608.03983), equation 5, without restarts; Smith &
    Topin, Super-Convergence (arXiv 1708.07120), section 3, whose two legs are half cosines here.
    """
    rise = max(1, round(warmup * total))
    rising, fallen = (done + 1) / rise, (done - rise) / max(1, total - rise)
    if name == "one_cycle":
        if done < rise:
            return _between(ONE_CYCLE_START, 1.0, rising)
        return _between(1.0, ONE_CYCLE_END, fallen)
    if done < rise:
        return rising
    return 1.0 if name == "constant" else 0.5 * (1 + math.cos(math.pi * fallen))


def _between(first: float, last: float, share: float) -> float:
    """Go from one value to another along half a cosine."""
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * share))

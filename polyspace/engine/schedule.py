"""Learning-rate schedules, as plain functions of progress."""

import math


def warmup_cosine(done: int, total: int, *, warmup: float = 0.05) -> float:
    """Give the factor of the peak rate after `done` of `total` steps.

    Rises linearly over the first `warmup` share, then falls along half a cosine to zero.

    Source: Loshchilov & Hutter, SGDR (arXiv 1608.03983), equation 5, without restarts.
    """
    rise = max(1, round(warmup * total))
    if done < rise:
        return (done + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (done - rise) / max(1, total - rise)))

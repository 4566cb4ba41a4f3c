"""How near translated features come to the true ones, in the teacher's standardised space."""

from collections.abc import Iterable
from dataclasses import dataclass

from jaxtyping import Float32
from torch import Tensor
from torch.nn import functional

Pair = tuple[Float32[Tensor, "*token dim"], Float32[Tensor, "*token dim"]]
"""Translated and true features of the same tokens."""


@dataclass(frozen=True)
class Alignment:
    """Agreement of translated with true features, over all tokens."""

    r2: float
    """Share of the variance explained, against always predicting the training mean."""
    cosine: float
    """Mean cosine in the teacher's own space; its mean alone can make that high."""
    centred_cosine: float
    """Mean cosine around the training mean, where the mean predictor has none: 0."""


def measure(pairs: Iterable[Pair], mean: Float32[Tensor, " dim"], std: Tensor) -> Alignment:
    """Measure agreement in one pass.

    Args:
        pairs: In standardised space, in which the training mean is the origin.
        mean: The teacher's training mean, to measure the raw cosine with.
        std: The deviations that it was divided by.
    """
    error = total = raw = centred = 0.0
    count = 0
    for translated, true in pairs:
        error += float((translated - true).double().square().sum())
        total += float(true.double().square().sum())
        own = (values * std + mean for values in (translated, true))
        raw += float(functional.cosine_similarity(*own, dim=-1).double().sum())
        centred += float(functional.cosine_similarity(translated, true, dim=-1).double().sum())
        count += true[..., 0].numel()
    return Alignment(r2=1 - error / total, cosine=raw / count, centred_cosine=centred / count)

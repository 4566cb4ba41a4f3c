"""How near translated features come to the true ones, in normalised space and in their own."""

from collections.abc import Callable, Iterable
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
    r2_own: float
    """`r2` in the teacher's own space, where dimensions that vary much rule."""
    centred_cosine_own: float
    """`centred_cosine` in the teacher's own space."""


def measure(
    pairs: Iterable[Pair],
    *,
    origin: Float32[Tensor, " dim"],
    inverse: Callable[[Tensor], Tensor],
) -> Alignment:
    """Measure agreement in one pass.

    Args:
        pairs: In normalised space.
        origin: Where the training mean lies in it.
        inverse: Leads from normalised to the teacher's own space.
    """
    normalised, own = _Sums(), _Sums()
    mean = inverse(origin)
    for translated, true in pairs:
        normalised.add(translated, true, origin)
        own.add(inverse(translated), inverse(true), mean)
    return Alignment(
        r2=normalised.r2,
        cosine=own.raw / own.count,
        centred_cosine=normalised.centred / normalised.count,
        r2_own=own.r2,
        centred_cosine_own=own.centred / own.count,
    )


@dataclass
class _Sums:
    """What is added up over the tokens of one space."""

    error: float = 0.0
    total: float = 0.0
    raw: float = 0.0
    centred: float = 0.0
    count: int = 0

    @property
    def r2(self) -> float:
        return 1 - self.error / self.total

    def add(self, translated: Tensor, true: Tensor, mean: Tensor) -> None:
        around = translated - mean, true - mean
        self.error += float((translated - true).double().square().sum())
        self.total += float(around[1].double().square().sum())
        self.raw += float(functional.cosine_similarity(translated, true, dim=-1).double().sum())
        self.centred += float(functional.cosine_similarity(*around, dim=-1).double().sum())
        self.count += true[..., 0].numel()

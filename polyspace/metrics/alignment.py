"""How near translated features come to the true ones, in normalised space and in their own."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from numpy import ndarray
from torch import Tensor
from torch.nn import functional

from polyspace.errors import MetricError

Pair = tuple[Float32[Tensor, "*token dim"], Float32[Tensor, "*token dim"]]
"""Translated and true features of the same tokens; the first axis is the clips."""

PERCENTILES = tuple(range(0, 101, 5))
"""Of the dimensions' R², from the worst translated to the best."""


@dataclass(frozen=True)
class Dimensions:
    """How evenly R² is spread over the dimensions of one space."""

    r2: tuple[float, ...]
    """Of the dimensions at every fifth percentile, the worst first."""
    below_mean: float
    """Share of the dimensions that are translated worse than by the training mean."""
    constant: int
    """Dimensions that don't vary, which have no R² and count nowhere else."""


@dataclass(frozen=True)
class ClassAlignment:
    """Agreement over the tokens of one class's clips, in normalised space."""

    clips: int
    r2: float | None
    """Against always predicting the training mean; None without clips, here and below."""
    centred_cosine: float | None


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
    dimensions: Dimensions
    """In normalised space."""
    dimensions_own: Dimensions
    classes: tuple[ClassAlignment, ...]
    """By class; empty where labels were not given."""


def measure(
    pairs: Iterable[Pair],
    *,
    origin: Float32[Tensor, " dim"],
    inverse: Callable[[Tensor], Tensor],
    labels: Int64[ndarray, " clip"] | None = None,
    classes: int = 0,
) -> Alignment:
    """Measure agreement in one pass; see `collect`.

    Raises:
        MetricError: See `collect`, and where the true features don't vary.
    """
    both = collect(pairs, origin=origin, inverse=inverse, labels=labels, classes=classes)
    return both.alignment


def collect(
    pairs: Iterable[Pair],
    *,
    origin: Float32[Tensor, " dim"],
    inverse: Callable[[Tensor], Tensor],
    labels: Int64[ndarray, " clip"] | None = None,
    classes: int = 0,
) -> "Collected":
    """Add up what agreement is made of, in one pass; memory grows with dimensions and classes only.

    Args:
        pairs: In normalised space.
        origin: Where the training mean lies in it.
        inverse: Leads from normalised to the teacher's own space.
        labels: Of the clips, in the order in which the pairs bring them.
        classes: How many there are; 0 without labels.

    Raises:
        MetricError: Features that aren't numbers, or labels of more or fewer clips.
    """
    normalised, own = Sums.of(classes), Sums.of(0)
    mean, seen = inverse(origin), 0
    for translated, true in pairs:
        part = None if labels is None else torch.from_numpy(labels[seen : seen + len(true)])
        seen += len(true)
        if part is not None and len(part) == len(true):
            normalised.add_classes(translated, true, origin, part)
        normalised.add(translated, true, origin)
        own.add(inverse(translated), inverse(true), mean)
    _check(normalised, seen, labels)
    return Collected(normalised, own)


@dataclass
class Sums:
    """What is added up over the tokens of one space."""

    classes: Float64[Tensor, "sum label"]
    """By class: squared error, squares around the mean, centred cosines, tokens, clips."""
    error: Tensor = field(default_factory=lambda: torch.zeros(1, dtype=torch.float64))
    """Squared error of each dimension."""
    total: Tensor = field(default_factory=lambda: torch.zeros(1, dtype=torch.float64))
    """Squared distance of the true ones from the training mean, of each dimension."""
    raw: float = 0.0
    centred: float = 0.0
    count: int = 0

    @classmethod
    def of(cls, classes: int) -> "Sums":
        """Begin with nothing."""
        return cls(torch.zeros(5, classes, dtype=torch.float64))

    @property
    def r2(self) -> float:
        """Give the share of the variance explained, all dimensions together."""
        return 1 - float(self.error.sum() / self.total.sum())

    @property
    def per_dimension(self) -> Float64[ndarray, " dim"]:
        """Give the R² of each dimension; NaN where it doesn't vary."""
        error, total = self.error.cpu().numpy(), self.total.cpu().numpy()
        shares = np.full(len(total), np.nan)
        np.divide(error, total, out=shares, where=total > 0)
        return 1 - shares

    @property
    def dimensions(self) -> Dimensions:
        """Give how evenly R² is spread."""
        all_of_them = self.per_dimension
        varying = all_of_them[~np.isnan(all_of_them)]
        return Dimensions(
            r2=tuple(np.percentile(varying, PERCENTILES).tolist()),
            below_mean=float((varying < 0).mean()),
            constant=len(all_of_them) - len(varying),
        )

    def add(self, translated: Tensor, true: Tensor, mean: Tensor) -> None:
        """Add some tokens."""
        around = translated - mean, true - mean
        tokens = tuple(range(true.ndim - 1))
        error = (translated - true).double().square().sum(dim=tokens)
        total = around[1].double().square().sum(dim=tokens)
        self.error, self.total = self.error + error.cpu(), self.total + total.cpu()
        self.raw += float(functional.cosine_similarity(translated, true, dim=-1).double().sum())
        self.centred += float(functional.cosine_similarity(*around, dim=-1).double().sum())
        self.count += true[..., 0].numel()

    def add_classes(
        self, translated: Tensor, true: Tensor, mean: Tensor, labels: Int64[Tensor, " clip"]
    ) -> None:
        """Add some tokens to what their clips' classes have."""
        around = translated - mean, true - mean
        error, total = (translated - true).double().square(), around[1].double().square()
        cosines = functional.cosine_similarity(*around, dim=-1).double()
        by_clip = [each.reshape(len(true), -1).sum(dim=1) for each in (error, total, cosines)]
        tokens = torch.full_like(by_clip[0], cosines[0].numel())
        sums = torch.stack([*by_clip, tokens, torch.ones_like(tokens)])
        self.classes.index_add_(1, labels, sums.cpu())

    def per_class(self) -> tuple[ClassAlignment, ...]:
        """Give each class's agreement."""
        return tuple(
            ClassAlignment(
                int(clips),
                1 - error / total if total else None,
                cosines / tokens if tokens else None,
            )
            for error, total, cosines, tokens, clips in self.classes.T.tolist()
        )


@dataclass(frozen=True)
class Collected:
    """Sums of both spaces, and what they come to."""

    normalised: Sums
    own: Sums

    @property
    def alignment(self) -> Alignment:
        """Give the figures."""
        normalised, own = self.normalised, self.own
        return Alignment(
            r2=normalised.r2,
            cosine=own.raw / own.count,
            centred_cosine=normalised.centred / normalised.count,
            r2_own=own.r2,
            centred_cosine_own=own.centred / own.count,
            dimensions=normalised.dimensions,
            dimensions_own=own.dimensions,
            classes=normalised.per_class(),
        )


def _check(sums: Sums, clips: int, labels: Int64[ndarray, " clip"] | None) -> None:
    if labels is not None and len(labels) != clips:
        raise MetricError(
            f"labels of {len(labels)} clips and features of {clips}: give those of the same clips"
        )
    if not clips:
        raise MetricError("no clips: agreement needs features of at least one")
    bad = int((~torch.isfinite(sums.error + sums.total)).sum())
    if bad:
        raise MetricError(
            f"{bad} of {len(sums.error)} dimensions hold values that are not numbers: see the "
            f"converter, or extract the features again"
        )
    if not float(sums.total.sum()):
        raise MetricError(
            f"the true features of all {clips} clips are the training mean: there is nothing that "
            f"a translation could explain"
        )

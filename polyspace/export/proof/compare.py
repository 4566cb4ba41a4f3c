"""How two models' answers to the same clips differ."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64
from numpy import ndarray
from torch import Tensor

from polyspace.errors import ExportError, LabelError
from polyspace.metrics import classification
from polyspace.metrics.intervals import Difference, Estimate, Resampling
from polyspace.train.fusion_workload import Predictions
from polyspace.train.sources import StoredClips

RESAMPLES = 2000
"""Draws of the groups that the intervals are taken from."""
SHOWN = 20
"""Clips at most whose class changed that are listed."""
UNDECIDED = "none, several are as likely"
"""What stands in the place of a class where a model prefers none."""


@dataclass(frozen=True)
class Interval:
    """A value and its 95 % interval, over resampled groups."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, found: Estimate | Difference, scale: float = 1.0) -> "Interval":
        """Take over what was estimated."""
        return cls(scale * found.value, scale * found.low, scale * found.high)


@dataclass(frozen=True)
class Changed:
    """A clip that the export gives another class."""

    id: str
    label: str
    """Class that it is of."""
    before: str
    after: str
    margin: float
    """How much likelier the source finds its first choice than its second, from 0 to 1."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What is known of the clips that models are asked about; each has as many views."""

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    labels: Int64[ndarray, " clip"]
    class_names: tuple[str, ...]
    views: int

    @classmethod
    def of(cls, clips: StoredClips, student: str, class_names: tuple[str, ...]) -> "HeldOut":
        """Take the clips of a store that a backbone has seen.

        Raises:
            LabelError: They are of other classes than the model names.
        """
        _refuse_other_classes(clips, class_names)
        first = clips.rows((student,))[:: clips.views]
        ids, groups = (
            tuple(names[row] for row in first.tolist()) for names in (clips.ids, clips.groups)
        )
        return cls(ids, groups, clips.labels[first], class_names, clips.views)


@dataclass(frozen=True)
class Comparison:
    """How an export's answers differ from its source's."""

    clips: int
    looks: int
    """Views of all clips."""
    groups: int
    """Source videos, or whatever the clips share; the intervals are taken over them."""
    top1_source: Interval
    top1_export: Interval
    difference_points: Interval
    """Export less source, clip by clip, in points."""
    agreement: float
    """Share of the clips to which both give the same class."""
    max_abs_logit: float
    mean_abs_logit: float
    """Of the differences of logits."""
    mean_kl: float
    max_kl: float
    """Kullback-Leibler divergence of the chances, from source to export, in nats a look."""
    changed: tuple[Changed, ...]
    """Clips that the two give another class; those of which the source was surest first."""


def compare(
    before: Float32[Tensor, "look label"], after: Float32[Tensor, "_ _"], held: HeldOut
) -> Comparison:
    """Compare what source and export say of the same looks, which lie clip after clip.

    A clip's class is the likeliest in the mean of its views' chances.

    Raises:
        ExportError: A logit is not a number, or infinite; or there are not as many.
        DatasetError: All clips are of one group, over which there is no interval.
    """
    _refuse_broken(before, after)
    told, tells = (Predictions(said, {}).over_views(held.views).logits for said in (before, after))
    first, second = (classification.named(said.numpy()) for said in (told, tells))
    right, still = (classification.hits(said.numpy(), held.labels) for said in (told, tells))
    error = (after.double() - before.double()).abs()
    divergence = kl(before, after)
    return Comparison(
        clips=len(held.labels),
        looks=len(before),
        groups=len(set(held.groups)),
        **_scores(right, still, held.groups),
        agreement=float((first == second).mean()),
        max_abs_logit=float(error.max()),
        mean_abs_logit=float(error.mean()),
        mean_kl=float(divergence.mean()),
        max_kl=float(divergence.max()),
        changed=_changed(told, first, second, held),
    )


def kl(
    before: Float32[Tensor, "look label"], after: Float32[Tensor, "look label"]
) -> Float64[Tensor, " look"]:
    """Give the Kullback-Leibler divergence of the chances, from the first to the second, in nats.

    Source: Kullback & Leibler (1951). It is never negative; what rounding leaves below 0 becomes 0.
    """
    first, second = (logits.double().log_softmax(-1) for logits in (before, after))
    return (first.exp() * (first - second)).sum(-1).clamp_min(0)


def _refuse_other_classes(clips: StoredClips, class_names: tuple[str, ...]) -> None:
    known = clips.class_names
    used = [label for label in np.unique(clips.labels).tolist() if label >= 0]
    if any(class_names[label : label + 1] != known[label : label + 1] for label in used):
        raise LabelError(
            f"the clips of {clips.dataset} {clips.split} are of {len(known)} classes "
            f"({', '.join(known[:3])} …), the model names {len(class_names)} "
            f"({', '.join(class_names[:3])} …): give the features that it was trained for"
        )


def _refuse_broken(before: Tensor, after: Tensor) -> None:
    if before.shape != after.shape:
        raise ExportError(
            f"the export gives logits of shape {tuple(after.shape)}, its source of "
            f"{tuple(before.shape)}: nothing was published; it is not a form of the same model"
        )
    for who, said in (("source", before), ("export", after)):
        broken = int((~torch.isfinite(said)).any(1).sum())
        if broken:
            raise ExportError(
                f"the {who} gives logits that are not finite for {broken} of {len(said)} looks: "
                f"nothing was published; train again, or export with a wider type"
            )


def _scores(
    before: Bool[ndarray, " clip"], after: Bool[ndarray, " clip"], groups: tuple[str, ...]
) -> dict[str, Interval]:
    """Estimate both accuracies and their difference over the same draws."""
    drawn = Resampling.draw(groups, resamples=RESAMPLES, random=np.random.default_rng(0))
    first, second = before.astype(np.float64), after.astype(np.float64)
    return {
        "top1_source": Interval.of(drawn.estimate(first)),
        "top1_export": Interval.of(drawn.estimate(second)),
        "difference_points": Interval.of(drawn.difference(second, first), 100.0),
    }


def _changed(
    told: Float32[Tensor, "clip label"],
    before: Int64[ndarray, " clip"],
    after: Int64[ndarray, " clip"],
    held: HeldOut,
) -> tuple[Changed, ...]:
    top = told.softmax(-1).topk(min(2, told.shape[1]), dim=1).values
    margins = (top[:, 0] - top[:, -1]).numpy()
    rows = np.flatnonzero(before != after)
    surest = rows[np.argsort(-margins[rows], kind="stable")][:SHOWN]
    names = (*held.class_names, UNDECIDED)  # the last is also number -1
    return tuple(
        Changed(
            held.ids[row],
            names[held.labels[row]],
            names[before[row]],
            names[after[row]],
            float(margins[row]),
        )
        for row in surest.tolist()
    )

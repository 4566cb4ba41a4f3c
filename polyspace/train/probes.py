"""Probes: what two plain classifiers read out of one backbone, without any training loop.

Each takes a vector of a clip, the mean of its standardised tokens, and gives logits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from numpy import ndarray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn import functional

from polyspace.errors import DatasetError
from polyspace.models.converters import Translator
from polyspace.train import fit
from polyspace.train.batches import Division, in_order
from polyspace.train.fusion_workload import Rows
from polyspace.train.sources import StoredClips

NEIGHBOURS = 20
TEMPERATURE = 0.07
"""Of the votes. Source, with their number: Caron et al. (arXiv 2104.14294), section 4.1."""
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Inverse strengths of the penalty that logistic regression is tried with."""
BLOCK = 1024
"""Clips that are compared with all others at a time."""

Vectors = Float32[Tensor, "clip dim"]
Logits = Float32[Tensor, "clip label"]
Probe = Callable[[Vectors], Logits]
ProbeKind = Literal["knn", "linear"]


@dataclass(frozen=True, eq=False)
class Examples:
    """Vectors of some clips, on the CPU, and their classes."""

    vectors: Vectors
    labels: Int64[ndarray, " clip"]


@torch.no_grad()
def vectors(translator: Translator, backbone: str, clips: StoredClips, rows: Rows) -> Vectors:
    """Give the mean of each row's tokens, standardised as the converters' ends are."""
    own = backbone == translator.student_name
    normalise = translator.student if own else translator[backbone].teacher
    parts = (normalise(clips.tokens(backbone, part)) for part in in_order(rows, fit.BATCH))
    return torch.cat([part.flatten(1, 2).mean(1).float().cpu() for part in parts])


def examples(
    translator: Translator, backbone: str, clips: StoredClips, division: Division
) -> tuple[Examples, Examples]:
    """Give what probes are fitted on, and what selects among them."""
    first, second = (
        Examples(vectors(translator, backbone, clips, rows), clips.labels[rows])
        for rows in (division.fit, division.held)
    )
    return first, second


def nearest(known: Examples, *, classes: int) -> Probe:
    """Let the nearest training clips vote, by cosine.

    Raises:
        DatasetError: There are fewer of them than votes.
    """
    if len(known.labels) < NEIGHBOURS:
        raise DatasetError(
            f"{NEIGHBOURS} nearest neighbours vote, but there are only "
            f"{len(known.labels)} training clips to fit on: give more clips"
        )
    bank = functional.normalize(known.vectors, dim=-1)
    labels = torch.from_numpy(known.labels)

    def vote(asked: Vectors) -> Logits:
        near = functional.normalize(asked, dim=-1) @ bank.T
        best, who = near.topk(NEIGHBOURS, dim=-1)
        votes = torch.zeros(len(asked), classes)
        votes.scatter_add_(1, labels[who], (best / TEMPERATURE).exp())
        # A class without a vote has no logarithm.
        return votes.clamp_min(torch.finfo(votes.dtype).tiny).log()

    return lambda asked: torch.cat([vote(part) for part in asked.split(BLOCK)])


def linear(known: Examples, held: Examples, *, classes: int) -> Probe:
    """Fit logistic regressions of several strengths; the hold-out's likelihood chooses.

    Raises:
        DatasetError: The clips that are fitted on are of one class.
    """
    if len(np.unique(known.labels)) < 2:
        raise DatasetError("a linear probe needs training clips of two classes, found one class")
    tried = [_regression(known, strength) for strength in STRENGTHS]
    best = max(tried, key=lambda model: _likelihood(_chances(model, held.vectors, classes), held))
    return lambda asked: torch.from_numpy(np.log(_chances(best, asked, classes)).astype(np.float32))


def _regression(known: Examples, strength: float) -> Pipeline:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000, tol=1e-3))
    return model.fit(known.vectors.numpy(), known.labels)


def _chances(model: Pipeline, asked: Vectors, classes: int) -> Float64[ndarray, "clip label"]:
    """Give chances; classes that nothing was fitted for get next to none."""
    chances = np.full((len(asked), classes), np.finfo(np.float32).tiny, np.float64)
    found: ndarray = model.predict_proba(asked.numpy())
    chances[:, model.classes_] = np.maximum(found, np.finfo(np.float32).tiny)
    return chances


def _likelihood(chances: Float64[ndarray, "clip label"], held: Examples) -> float:
    """Give the mean log-likelihood of the true classes."""
    own = np.take_along_axis(chances, held.labels[:, None], axis=1)
    return float(np.log(own).mean())

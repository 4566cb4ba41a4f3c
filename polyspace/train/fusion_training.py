"""How a fusion, or anything of its shape, is trained: one recipe, so that comparisons are fair."""

from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import Field

from polyspace.engine.keeper import KeepSettings
from polyspace.engine.loop import Step, Training
from polyspace.engine.recipe import Recipe
from polyspace.engine.selection import Best, until_stale
from polyspace.models.fusion import Fused, Fusion, FusionSpec
from polyspace.models.heads import pool
from polyspace.models.normalizers import Standardizer, measure
from polyspace.precision import Precision
from polyspace.ranks import ALONE, Ranks
from polyspace.seeding import derive
from polyspace.train.batches import Division, in_order
from polyspace.train.fit import BATCH
from polyspace.train.fusion_workload import Batch, FusionWorkload, Inputs, Rows
from polyspace.train.sources import StoredClips


class FusionSettings(KeepSettings, Recipe):
    """How the fusion head is trained."""

    epochs: Annotated[int, Field(ge=1)] = 5
    """Passes over the training split."""
    batch: Annotated[int, Field(ge=1)] = 32
    """Clips of a batch, over all processes."""
    lr: Annotated[float, Field(gt=0)] = 3e-3
    """Peak learning rate."""
    rank: Annotated[int, Field(ge=1)] = 64
    """Width of the bottleneck between a teacher's space and the student's."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of the classifier's inputs that training drops."""
    hold_out: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the training groups kept back to select the epoch."""
    seed: int = 0
    """Decides initial weights and the order of clips."""


def make(
    spec: FusionSpec,
    inputs: Callable[[Rows], Inputs],
    clips: StoredClips,
    division: Division,
    settings: FusionSettings,
    ranks: Ranks = ALONE,
) -> FusionWorkload:
    """Make an untrained fusion, its classifier's scaler measured, and the work of training it."""
    torch.manual_seed(derive(settings.seed, "fusion"))
    fusion = Fusion(spec).to(clips.device)
    with torch.no_grad():
        pooled = (pool(inputs(rows).student).cpu() for rows in in_order(division.fit, BATCH))
        fusion.head.norm.load_state_dict(Standardizer.of(measure(pooled)).state_dict())
    return FusionWorkload(
        fusion, inputs, clips, division, batch=settings.batch, seed=settings.seed, ranks=ranks
    )


def rank(step: Step) -> tuple[float, float]:
    """Rank epochs by accuracy on the hold-out; the likelihood breaks ties."""
    return step.scores["top1"], step.scores["log_likelihood"]


def best_of(
    workload: FusionWorkload, settings: FusionSettings, types: Precision, device: torch.device
) -> Fusion:
    """Train to the end and give the epoch that did best on the hold-out."""
    training: Training[Batch, Fused] = Training(workload, settings, precision=types, device=device)
    best = Best()
    for step in until_stale(training.steps(), [best], settings.early_stop):
        if step.scores:
            best.offer(*rank(step), epoch=step.epoch, state=workload.model.state_dict())
    workload.model.load_state_dict(best.state)
    return workload.model

"""How a fusion, or anything of its shape, is trained: one recipe, so that comparisons are fair."""

from collections.abc import Callable, Iterator
from typing import Annotated

import torch
from pydantic import Field

from polyspace.config import Config
from polyspace.engine.loop import Step, train
from polyspace.engine.selection import Best
from polyspace.models.fusion import Fusion, FusionSpec
from polyspace.models.heads import pool
from polyspace.models.normalizers import Standardizer, measure
from polyspace.precision import DeviceName, Precision
from polyspace.seeding import derive
from polyspace.train.batches import Division, in_order
from polyspace.train.fit import BATCH
from polyspace.train.fusion_workload import FusionWorkload, Inputs, Rows
from polyspace.train.sources import StoredClips


class FusionSettings(Config):
    """How the fusion head is trained."""

    epochs: Annotated[int, Field(ge=1)] = 5
    """Passes over the training split."""
    batch: Annotated[int, Field(ge=1)] = 32
    """Clips a step."""
    lr: Annotated[float, Field(gt=0)] = 3e-3
    """Peak learning rate of AdamW."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    """Decay of matrices; vectors do not decay."""
    rank: Annotated[int, Field(ge=1)] = 64
    """Width of the bottleneck between a teacher's space and the student's."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of the classifier's inputs that training drops."""
    hold_out: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the training groups kept back to select the epoch."""
    use_amp: bool = False
    """Compute in float16 with gradient scaling."""
    use_bf16: bool = False
    """Compute in bfloat16."""
    device: DeviceName = "auto"
    """Where to compute."""
    seed: int = 0
    """Decides initial weights and the order of clips."""


def make(
    spec: FusionSpec,
    inputs: Callable[[Rows], Inputs],
    clips: StoredClips,
    division: Division,
    settings: FusionSettings,
) -> FusionWorkload:
    """Make an untrained fusion, its classifier's scaler measured, and the work of training it."""
    torch.manual_seed(derive(settings.seed, "fusion"))
    fusion = Fusion(spec).to(clips.device)
    with torch.no_grad():
        pooled = (pool(inputs(rows).student).cpu() for rows in in_order(division.fit, BATCH))
        fusion.head.norm.load_state_dict(Standardizer.of(measure(pooled)).state_dict())
    return FusionWorkload(fusion, inputs, clips, division, batch=settings.batch, seed=settings.seed)


def descend(
    workload: FusionWorkload, settings: FusionSettings, types: Precision, device: torch.device
) -> Iterator[Step]:
    """Train by the settings, one step at a time."""
    return train(
        workload,
        epochs=settings.epochs,
        lr=settings.lr,
        weight_decay=settings.weight_decay,
        precision=types,
        device=device,
    )


def rank(step: Step) -> tuple[float, float]:
    """Rank epochs by accuracy on the hold-out; the likelihood breaks ties."""
    return step.scores["top1"], step.scores["log_likelihood"]


def best_of(
    workload: FusionWorkload, settings: FusionSettings, types: Precision, device: torch.device
) -> Fusion:
    """Train to the end and give the epoch that did best on the hold-out."""
    best = Best()
    for step in descend(workload, settings, types, device):
        if step.scores:
            best.offer(*rank(step), epoch=step.epoch, state=workload.model.state_dict())
    workload.model.load_state_dict(best.state)
    return workload.model

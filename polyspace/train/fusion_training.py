"""How a fusion, or anything of its shape, is trained: one recipe, so that comparisons are fair."""

from collections.abc import Callable, Mapping
from typing import Annotated

import torch
from pydantic import Field

from polyspace.engine.keeper import KeepSettings
from polyspace.engine.loop import Step, Training
from polyspace.engine.recipe import Recipe
from polyspace.engine.selection import Best, until_stale
from polyspace.models.fusion import Fused, Fusion, FusionSpec
from polyspace.models.grids import TokenShape
from polyspace.models.heads.kinds import HeadKind
from polyspace.models.heads.pooled import PooledHead
from polyspace.models.joins.kinds import JoinKind
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
    join: JoinKind = "gated"
    """How translations meet the student's tokens: each teacher through a gate of its own (gated),
    all side by side (concatenation), each token weighing teachers (attention) or sent to two of
    them (experts)."""
    rank: Annotated[int, Field(ge=1)] = 64
    """Width of the bottleneck between a teacher's space and the student's."""
    teacher_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of clips that training shows without a teacher, each teacher by itself; teachers can
    then be missing later."""
    head: HeadKind = "cells"
    """Classifier: linear over each cell's mean and spread in time (cells) or over the mean of all
    tokens (linear); a perceptron over a learned mean (mean_attention); attention blocks
    (attentive)."""
    depth: Annotated[int, Field(ge=1)] = 1
    """Blocks of an attentive classifier, the last of which is its query's."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of the classifier's inputs that training drops."""
    hold_out: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the training groups kept back to select the epoch."""
    seed: int = 0
    """Decides initial weights and the order of clips."""

    def spec(
        self,
        student: TokenShape,
        teachers: Mapping[str, TokenShape],
        class_names: tuple[str, ...],
    ) -> FusionSpec:
        """Describe the fusion that is trained this way."""
        return FusionSpec(
            student=student,
            teachers=dict(teachers),
            class_names=class_names,
            rank=self.rank,
            dropout=self.dropout,
            join=self.join,
            head=self.head,
            depth=self.depth,
            teacher_dropout=self.teacher_dropout,
        )


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
    _scale(fusion, inputs, division)
    return FusionWorkload(
        fusion, inputs, clips, division, batch=settings.batch, seed=settings.seed, ranks=ranks
    )


@torch.no_grad()
def _scale(fusion: Fusion, inputs: Callable[[Rows], Inputs], division: Division) -> None:
    """Measure what a linear classifier's inputs are divided by."""
    head = fusion.eval().head
    if not isinstance(head, PooledHead):
        return
    given = (inputs(rows) for rows in in_order(division.fit, BATCH))
    joined = (fusion.joined(some.student, some.translated).tokens for some in given)
    pooled = (head.pool(tokens).cpu() for tokens in joined)
    head.norm.load_state_dict(Standardizer.of(measure(pooled)).state_dict())


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

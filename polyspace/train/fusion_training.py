"""How a fusion, or anything of its shape, is trained: one recipe, so that comparisons are fair."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import torch
from pydantic import Field

from polyspace.engine.keeper import KeepSettings
from polyspace.engine.loop import Step, Training
from polyspace.engine.recipe import Recipe
from polyspace.engine.selection import Best, until_stale
from polyspace.models.fusion import Fusion, FusionSpec
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
from polyspace.train.fusion_workload import (
    SCORES,
    Batch,
    FusionWorkload,
    Inputs,
    Rows,
    ranked,
)
from polyspace.train.rivals import Pace, RivalWorkload
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
    lr_factors: tuple[Annotated[float, Field(gt=0)], ...] = (1.0,)
    """Factors of --lr; one fusion each is trained, all on the same batches, and the hold-out
    chooses."""
    weight_decays: tuple[Annotated[float, Field(ge=0)], ...] = ()
    """Decays, each tried with each of --lr_factors; --weight_decay alone, unless given."""
    hold_out: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the training groups kept back to select the epoch."""
    seed: int = 0
    """Decides initial weights and the order of clips."""

    @property
    def paces(self) -> tuple[Pace, ...]:
        """The pace of every fusion that is trained."""
        decays = self.weight_decays or (self.weight_decay,)
        return tuple(Pace(rate, decay) for rate in self.lr_factors for decay in decays)

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


def rivals(one: FusionWorkload, settings: FusionSettings) -> FusionWorkload | RivalWorkload:
    """Set as many fusions going as the settings have paces."""
    return RivalWorkload(one, settings.paces) if len(settings.paces) > 1 else one


class Choice:
    """The best epoch of every fusion that is trained, and in the end the best of them."""

    def __init__(self, workload: FusionWorkload | RivalWorkload) -> None:
        self.members = workload.members
        self.bests = {name: Best() for name in self.members}

    def offer(self, step: Step) -> Fusion:
        """Take an epoch's scores in; give the fusion that has the best of them."""
        for name, fusion in self.members.items():
            score = ranked(step.scores, name)
            self.bests[name].offer(*score, epoch=step.epoch, state=fusion.state_dict())
        return self.members[max(self.members, key=lambda name: ranked(step.scores, name))]

    def settle(self) -> tuple[Fusion, dict[str, Any]]:
        """Give the best fusion, with the weights of its best epoch, and what it scored."""
        name = max(self.bests, key=lambda name: self.bests[name].score)
        best, fusion = self.bests[name], self.members[name]
        fusion.load_state_dict(best.state)
        scores = dict(zip(SCORES, best.score, strict=True)) | {"epoch": best.epoch}
        return fusion, scores | ({"chosen": name} if name else {})


def best_of(
    one: FusionWorkload, settings: FusionSettings, types: Precision, device: torch.device
) -> Fusion:
    """Train to the end and give the fusion and the epoch that did best on the hold-out."""
    workload = rivals(one, settings)
    training: Training[Batch, Any] = Training(
        workload, settings, precision=types, device=device, parts=workload.parts
    )
    choice = Choice(workload)
    for step in until_stale(training.steps(), choice.bests.values(), settings.early_stop):
        if step.scores:
            choice.offer(step)
    return choice.settle()[0]

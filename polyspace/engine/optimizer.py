"""Optimizer steps that never let a value that isn't finite reach a weight."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from polyspace.engine.muon import MuonBesideAdamW
from polyspace.errors import DivergedError

OptimizerName = Literal["adamw", "sgd", "muon"]
"""What turns gradients into steps."""

MOMENTUM = 0.9
"""Of sgd, in Nesterov's form."""

RATE, PART = "rate", "part"
"""What each of an optimizer's groups says besides: its factor of the rate, and its part."""


@dataclass(frozen=True, eq=False)
class Part:
    """A part of what is trained that descends, and whose gradient is shortened, by itself."""

    model: nn.Module
    weight_decay: float
    """Of matrices; vectors (biases, norms, gains) do not decay."""
    rate: float = 1.0
    """Factor of the run's learning rate."""


def make(name: OptimizerName, parts: Sequence[Part], *, lr: float) -> torch.optim.Optimizer:
    """Give an optimizer of what is trainable."""
    groups = [group for index, part in enumerate(parts) for group in _groups(part, index)]
    if name == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=MOMENTUM, nesterov=True)
    if name == "muon":
        return MuonBesideAdamW(groups, lr=lr)
    return torch.optim.AdamW(groups, lr=lr, fused=True)


def _groups(part: Part, index: int) -> list[dict[str, Any]]:
    """Tell matrices from vectors; what has neither is left out."""
    trained = [p for p in part.model.parameters() if p.requires_grad]
    groups = (
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": part.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    )
    return [{**group, RATE: part.rate, PART: index} for group in groups if group["params"]]


@dataclass
class Stepper:
    """Backward passes, unscaling, clipping and update, with the skipped steps counted."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    clip_norm: float = 1.0
    """Longest gradient of a part."""
    patience: int = 20
    """Steps in a row that may be skipped before the run ends."""
    skipped_in_row: int = 0
    skipped: int = 0
    """In the whole run."""

    def step(self, losses: Iterable[Tensor], *, lr: float) -> bool:
        """Descend once; say whether the step was skipped because a gradient wasn't finite.

        Args:
            losses: Whose gradients are added up; drawn one at a time, so that one graph is alive.
            lr: The learning rate.

        Raises:
            DivergedError: `patience` steps in a row were skipped, or the scale of float16's
                gradients fell below one.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group[RATE]
        self.optimizer.zero_grad(set_to_none=True)
        # A forward pass may move running statistics; one that is skipped must not have.
        before = [buffer.clone() for buffer in self.model.buffers()]
        for loss in losses:
            self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        skip = not self._clip()
        # Asked here, not left to the scaler: finite gradients may have a norm that overflows.
        if skip:
            self._restore(before)
        else:
            self.scaler.step(self.optimizer)
        self.scaler.update()
        self._count(skip)
        return skip

    def state_dict(self) -> dict[str, Any]:
        """Give all that the next step depends on, but for the model."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "skipped_in_row": self.skipped_in_row,
            "skipped": self.skipped,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state; a scaler that wasn't in use before starts anew."""
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self.skipped_in_row, self.skipped = state["skipped_in_row"], state["skipped"]

    def _clip(self) -> bool:
        """Shorten the parts' gradients, each by itself; say whether their norms are finite."""
        parts: dict[int, list[Tensor]] = {}
        for group in self.optimizer.param_groups:
            parts.setdefault(group[PART], []).extend(group["params"])
        norms = [nn.utils.clip_grad_norm_(part, self.clip_norm) for part in parts.values()]
        return bool(torch.isfinite(torch.stack(norms)).all())

    @torch.no_grad()
    def _restore(self, before: Iterable[Tensor]) -> None:
        for buffer, value in zip(self.model.buffers(), before, strict=True):
            buffer.copy_(value)

    def _count(self, skip: bool) -> None:
        self.skipped += skip
        self.skipped_in_row = self.skipped_in_row + 1 if skip else 0
        if self.skipped_in_row >= self.patience:
            raise DivergedError(
                f"{self.patience} steps in a row had gradients that are not finite: lower --lr, "
                f"or train in --use-bf16 or float32"
            )
        if skip and self.scaler.is_enabled() and self.scaler.get_scale() < 1:
            raise DivergedError(
                f"the gradients' scale in float16 fell to {self.scaler.get_scale():g}, expected 1 "
                f"or more: lower --lr, or train in --use-bf16 or float32"
            )

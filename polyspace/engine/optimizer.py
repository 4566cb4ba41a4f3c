"""Optimizer steps that never let a value that isn't finite reach a weight."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from polyspace.errors import DivergedError


def adamw(model: nn.Module, *, lr: float, weight_decay: float) -> torch.optim.AdamW:
    """Give AdamW over the trainable parameters; vectors (biases, norms, gains) do not decay."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = (
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    )
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=lr)


@dataclass
class Stepper:
    """Backward pass, unscaling, clipping and update, with the skipped steps counted."""

    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    clip_norm: float = 1.0
    patience: int = 20
    """Steps in a row that may be skipped before the run ends."""
    skipped_in_row: int = 0

    def step(self, loss: Tensor, *, lr: float) -> bool:
        """Descend once; say whether the step was skipped because a gradient wasn't finite.

        Raises:
            DivergedError: `patience` steps in a row were skipped.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self._parameters(), self.clip_norm)
        skip = not bool(torch.isfinite(norm))
        # Asked here, not left to the scaler: finite gradients may have a norm that overflows.
        if not skip:
            self.scaler.step(self.optimizer)
        self.scaler.update()
        self._count(skip)
        return skip

    def _parameters(self) -> Iterable[Tensor]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def _count(self, skip: bool) -> None:
        self.skipped_in_row = self.skipped_in_row + 1 if skip else 0
        if self.skipped_in_row >= self.patience:
            raise DivergedError(
                f"{self.patience} steps in a row had gradients that are not finite: lower --lr, "
                f"or train in --use-bf16 or float32"
            )

"""The loop: a generator of steps. Whoever calls it logs, saves and stops."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor

from polyspace.engine.optimizer import Stepper, adamw
from polyspace.engine.schedule import warmup_cosine
from polyspace.engine.workload import Workload
from polyspace.precision import Precision

B = TypeVar("B")
O = TypeVar("O")  # noqa: E741


@dataclass(frozen=True)
class Step:
    """One optimizer step, and at the end of an epoch what the hold-out says."""

    epoch: int
    """Counts from 1; 0 is the untrained model, which is only scored."""
    done: int
    """Steps taken so far in the run."""
    total: int
    """Steps that the run will take."""
    losses: Mapping[str, float]
    """The terms of the loss, and "loss", their sum; empty in epoch 0."""
    lr: float
    skipped: bool
    """Whether the gradients were not finite, so that no weight moved."""
    scores: Mapping[str, float] = field(default_factory=dict[str, float])
    """Scores on the hold-out; empty but in the last step of an epoch."""

    def __str__(self) -> str:
        """Say where the run is."""
        parts = {**self.losses, **self.scores}
        shown = (f"{name} {value:.4g}" for name, value in parts.items() if "/" not in name)
        return f"epoch {self.epoch}  " + "  ".join(shown)


def train(
    workload: Workload[B, O],
    *,
    epochs: int,
    lr: float,
    weight_decay: float,
    precision: Precision,
    device: torch.device,
) -> Iterator[Step]:
    """Train for `epochs`, one `Step` at a time; stopping is not asking for the next one.

    The first step takes none: it scores the model as it came, so that training can be seen to help.

    Raises:
        DivergedError: The gradients stayed non-finite.
    """
    stepper = Stepper(
        adamw(workload.model, lr=lr, weight_decay=weight_decay), precision.scaler(device)
    )
    total, done = epochs * workload.steps, 0
    yield Step(0, done, total, {}, 0.0, skipped=False, scores=_score(workload))
    for epoch in range(1, epochs + 1):
        workload.model.train()
        for index, batch in enumerate(workload.batches(epoch), start=1):
            rate = lr * warmup_cosine(done, total)
            with precision.autocast(device):
                outputs = workload.forward(batch)
            terms = workload.loss(outputs, batch)
            loss = torch.stack(list(terms.values())).sum()
            skipped = stepper.step(loss, lr=rate)
            done += 1
            scores = _score(workload) if index == workload.steps else {}
            yield Step(epoch, done, total, _values(terms, loss), rate, skipped, scores)


def _score(workload: Workload[B, O]) -> Mapping[str, float]:
    workload.model.eval()
    with torch.no_grad():
        return workload.score()


def _values(terms: Mapping[str, Tensor], loss: Tensor) -> dict[str, float]:
    return {name: float(term.detach()) for name, term in {**terms, "loss": loss}.items()}

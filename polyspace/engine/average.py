"""A running average of a model's weights, which often scores better than any of its states."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class Average:
    """The exponential moving average of the trainable parameters, in their own type.

    Buffers are not averaged: they are counted or measured, not descended.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Start at the weights as they are.

        Args:
            model: Whose weights are averaged.
            decay: Share of the old average that an update keeps, once it is warm.
        """
        self.decay, self.updates = decay, 0
        self._weights = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self._values = {name: p.detach().clone() for name, p in self._weights.items()}
        self._shown = False

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights in; the first updates keep less of the old, which is hardly trained.

        Source: TensorFlow's `ExponentialMovingAverage`, its `num_updates`: (1 + n) / (10 + n).
        """
        keep = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, value in self._values.items():
            value.lerp_(self._weights[name].detach(), 1 - keep)
        self.updates += 1

    @contextmanager
    def swapped(self) -> Generator[None]:
        """Exchange weights and average for as long as the block runs; nothing is copied."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @contextmanager
    def aside(self) -> Generator[None]:
        """Have the weights themselves in the model for as long as the block runs."""
        if not self._shown:
            yield
            return
        with self.swapped():
            yield

    def state_dict(self) -> dict[str, Any]:
        """Give the average; to be called while the weights are in the model."""
        return {"updates": self.updates, "values": dict(self._values)}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from an average."""
        self.updates = state["updates"]
        for name, value in self._values.items():
            value.copy_(state["values"][name])

    def _exchange(self) -> None:
        # Tensors change places, not values: the optimizer knows parameters by identity.
        for name, weight in self._weights.items():
            held: Tensor = weight.data
            weight.data, self._values[name] = self._values[name], held
        self._shown = not self._shown

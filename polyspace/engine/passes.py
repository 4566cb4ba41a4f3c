"""Passes over batches whose gradients become, on all ranks, those of the whole batch."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Generic, TypeVar

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from polyspace.ranks import Ranks

B = TypeVar("B")

Pass = Callable[[B], Mapping[str, Tensor]]
"""From a batch to the terms of its loss."""


class Passes(Generic[B]):
    """What a model loses on batches; where there are several ranks, through torch's own engine."""

    def __init__(self, model: nn.Module, run: Pass[B], ranks: Ranks) -> None:
        """Take a model that is ready; the other ranks' become the same as the first's.

        Args:
            model: What is trained.
            run: A pass through it. Losses belong to it, because weights may be theirs alone.
            ranks: Who trains together.
        """
        self._run = run
        self._engine = _engine(model, run) if ranks.count > 1 else None

    def __call__(self, batch: B) -> Mapping[str, Tensor]:
        """Give the terms of the loss."""
        return (self._engine or self._run)(batch)

    def gathering(self, *, last: bool) -> AbstractContextManager[object]:
        """Give what a batch's passes run in: ranks meet in the last backward pass of a step."""
        return nullcontext() if last or self._engine is None else self._engine.no_sync()


def _engine(model: nn.Module, run: Pass[Any]) -> DistributedDataParallel:
    # Unless it looks for weights without a part, torch packs gradients anew after the first step.
    # How they are packed decides how the sum of three or more ranks rounds: a run that is taken up
    # would have other bits than one that went on.
    return DistributedDataParallel(_Pass(model, run), find_unused_parameters=True)


class _Pass(nn.Module):
    """What torch's engine asks for: a module whose call is the pass."""

    def __init__(self, model: nn.Module, run: Pass[Any]) -> None:
        super().__init__()
        self.model = model
        self._run = run
        # Where it looks and finds none, torch advises against looking, in every run.
        like = next(model.parameters())
        self.without_part = nn.Parameter(like.new_zeros(()))

    def forward(self, batch: Any) -> Mapping[str, Tensor]:  # noqa: ANN401
        return self._run(batch)

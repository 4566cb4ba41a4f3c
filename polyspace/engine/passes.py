"""Forward passes whose gradients become, on all ranks, those of the whole batch."""

from collections.abc import Sized
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Generic, TypeVar

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from polyspace.engine.workload import Workload
from polyspace.ranks import Ranks

B = TypeVar("B", bound=Sized)
O = TypeVar("O")  # noqa: E741


class Passes(Generic[B, O]):
    """A workload's forward pass; where there are several ranks, through torch's own engine."""

    def __init__(self, workload: Workload[B, O], ranks: Ranks) -> None:
        """Take a workload whose model is ready; the other ranks' become the same as the first's."""
        self._forward = workload.forward
        self._engine = _engine(workload) if ranks.count > 1 else None

    def __call__(self, batch: B) -> O:
        """Run the model."""
        return (self._engine or self._forward)(batch)

    def gathering(self, *, last: bool) -> AbstractContextManager[object]:
        """Give what a batch's passes run in: ranks meet in the last backward pass of a step."""
        return nullcontext() if last or self._engine is None else self._engine.no_sync()


def _engine(workload: Workload[Any, Any]) -> DistributedDataParallel:
    # Unless it looks for weights without a part, torch packs gradients anew after the first step.
    # How they are packed decides how the sum of three or more ranks rounds: a run that is taken up
    # would have other bits than one that went on.
    return DistributedDataParallel(_Pass(workload), find_unused_parameters=True)


class _Pass(nn.Module):
    """What torch's engine asks for: a module whose call is the pass."""

    def __init__(self, workload: Workload[Any, Any]) -> None:
        super().__init__()
        self.model = workload.model
        self._run = workload.forward
        # Where it looks and finds none, torch advises against looking, in every run.
        like = next(workload.model.parameters())
        self.without_part = nn.Parameter(like.new_zeros(()))

    def forward(self, batch: Any) -> Any:  # noqa: ANN401
        return self._run(batch)

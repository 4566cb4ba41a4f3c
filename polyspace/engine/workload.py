"""What a training loop needs to know of the thing that it trains."""

from collections.abc import Iterator, Mapping, Sized
from typing import Protocol, TypeVar, runtime_checkable

from torch import Tensor, nn

B = TypeVar("B", bound=Sized)
O = TypeVar("O")  # noqa: E741


@runtime_checkable
class Workload(Protocol[B, O]):
    """A model, its batches, its loss and its score.

    The loop calls `forward` under the run's autocast and `loss` outside of it, so that losses are
    computed in float32 whatever the compute type is.
    """

    @property
    def model(self) -> nn.Module:
        """The model; only its parameters that require a gradient are trained."""
        ...

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        ...

    def batches(self, epoch: int, *, start: int = 0) -> Iterator[B]:
        """Give the epoch's batches from one of them on; their lengths are clips.

        Of several ranks, each gives its own share of every batch.
        Their order depends on nothing but the seed and the epoch; none before `start` is read.
        """
        ...

    def forward(self, batch: B) -> O:
        """Run the model."""
        ...

    def loss(self, outputs: O, batch: B) -> Mapping[str, Tensor]:
        """Give the weighted terms of the loss; their sum is minimised."""
        ...

    def score(self) -> Mapping[str, float]:
        """Score the model on the hold-out."""
        ...

"""Keeping the best: which state of a model the hold-out liked most, and which files are kept."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from math import inf, isnan
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from polyspace.engine import checkpoint

S = TypeVar("S")


@dataclass
class Best:
    """The state with the highest score so far; of equal ones, the first."""

    score: tuple[float, ...] = ()
    epoch: int = -1
    state: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    last: int = -1
    """The last epoch that was offered."""

    def offer(self, *score: float, epoch: int, state: Mapping[str, Tensor]) -> bool:
        """Take over a state if it scores higher; later parts of a score break ties.

        What is not a number ranks below every number.
        """
        self.last = epoch
        ranked = comparable(score)
        if self.epoch >= 0 and not ranked > self.score:
            return False
        self.score, self.epoch = ranked, epoch
        self.state = {name: value.detach().clone() for name, value in state.items()}
        return True

    def stale(self, patience: int | None) -> bool:
        """Say whether that many epochs in a row have not been better; never, without a number."""
        return patience is not None and self.last - self.epoch >= patience

    def state_dict(self) -> dict[str, Any]:
        """Give everything, as plain values and tensors."""
        return {
            "score": list(self.score),
            "epoch": self.epoch,
            "state": dict(self.state),
            "last": self.last,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what another one had."""
        self.score, self.epoch = tuple(state["score"]), state["epoch"]
        self.state, self.last = dict(state["state"]), state["last"]


def comparable(score: tuple[float, ...]) -> tuple[float, ...]:
    """Rank what is not a number below every number."""
    # NaN compares false with everything: kept as it is, it would never be beaten.
    return tuple(-inf if isnan(part) else part for part in score)


def worth_keeping(scores: Mapping[int, tuple[float, ...]], best: int | None) -> set[int]:
    """Choose the epochs whose checkpoints stay: the best ones, the last, and never fewer than two.

    Args:
        scores: Of every epoch so far.
        best: How many of the best; all epochs stay without a number.
    """
    if best is None:
        return set(scores)
    ranked = sorted(scores, key=lambda epoch: (comparable(scores[epoch]), -epoch), reverse=True)
    newest = sorted(scores, reverse=True)
    kept = {*ranked[:best], *newest[:1]}
    return kept if len(kept) > 1 else {*kept, *newest[:2]}


def until_stale(
    steps: Generator[S, None, None], bests: Iterable[Best], patience: int | None
) -> Iterator[S]:
    """Pass steps on until none of the bests has become better for that many epochs.

    However it ends, the steps are closed, so that the model holds its own weights again.
    """
    kept = tuple(bests)
    with closing(steps):
        # Asked before the first step, too: a run may have been interrupted after its last.
        while not all(best.stale(patience) for best in kept):
            try:
                step = next(steps)
            except StopIteration:
                return
            yield step


def prune(
    scores: Mapping[int, tuple[float, ...]], best: int | None, path: Callable[[int], Path]
) -> None:
    """Remove the checkpoints of epochs that are not worth keeping; without a number, none.

    Args:
        scores: Of every epoch so far.
        best: How many of the best stay.
        path: Where an epoch's checkpoint is.
    """
    for epoch in scores.keys() - worth_keeping(scores, best):
        checkpoint.remove(path(epoch))

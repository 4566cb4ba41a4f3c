"""The loop: a generator of steps. Whoever calls it logs, saves and stops."""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from polyspace.engine import optimizer
from polyspace.engine.average import Average
from polyspace.engine.optimizer import Part, Stepper
from polyspace.engine.passes import Passes
from polyspace.engine.recipe import Recipe
from polyspace.engine.schedule import factor
from polyspace.engine.workload import Workload
from polyspace.precision import Precision
from polyspace.ranks import ALONE, Ranks
from polyspace.seeding import derive

B = TypeVar("B", bound=Sized)
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


class Training(Generic[B, O]):
    """A run of one workload: `steps` goes on with it, `state_dict` is all that it depends on."""

    def __init__(
        self,
        workload: Workload[B, O],
        recipe: Recipe,
        *,
        precision: Precision,
        device: torch.device,
        parts: Sequence[Part] = (),
        ranks: Ranks = ALONE,
    ) -> None:
        """Begin a run that has taken no step.

        Args:
            workload: What is trained, on what.
            recipe: How.
            precision: In which number types.
            device: Where.
            parts: What descends at rates of its own; the model as a whole, unless given.
            ranks: Who trains together.
        """
        self.workload, self.recipe = workload, recipe
        self.precision, self.device = precision, device
        self.ranks, self._seed = ranks, torch.initial_seed()
        model = workload.model
        self.passes = Passes(model, self._pass, ranks)
        parts = parts or (Part(model, recipe.weight_decay),)
        self.stepper = Stepper(
            model,
            optimizer.make(recipe.optimizer, parts, lr=recipe.lr),
            precision.scaler(device),
            clip_norm=recipe.clip_norm,
            patience=recipe.max_skips,
        )
        self.average = Average(model, recipe.ema) if recipe.ema else None
        self.epoch, self.batch, self.done = 0, 0, 0

    @property
    def total(self) -> int:
        """Steps that the run will take, unless it is stopped."""
        steps = self.recipe.epochs * self.steps_per_epoch
        return min(steps, self.recipe.max_steps or steps)

    @property
    def steps_per_epoch(self) -> int:
        """Steps of a whole epoch."""
        return -(-self.workload.steps // self.recipe.accumulate)

    def steps(self) -> Generator[Step, None, None]:
        """Train from where the run is, one `Step` at a time; stopping is not asking for the next.

        The first step takes none: it scores the model as it came, so that training can be seen to
        help. While a step with scores is looked at, the model holds the weights that were scored.

        Raises:
            DivergedError: The gradients stayed non-finite.
        """
        self.precision.settle(self.device)
        if self.epoch == 0:
            self.epoch = 1
            with self._scored() as scores:
                yield Step(0, 0, self.total, {}, 0.0, skipped=False, scores=scores)
        while self.done < self.total:
            yield from self._epoch()

    def state_dict(self) -> dict[str, Any]:
        """Give all that the rest of the run depends on; tensors are the run's own, not copies."""
        if self.average is None:
            return self._state()
        with self.average.aside():
            return {**self._state(), "average": self.average.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another run of the same workload and recipe was."""
        self.workload.model.load_state_dict(state["model"])
        self.stepper.load_state_dict(state["stepper"])
        if self.average:
            self.average.load_state_dict(state["average"])
        self.epoch, self.batch, self.done = (state[name] for name in ("epoch", "batch", "done"))
        torch.set_rng_state(state["draws"])
        if self.device.type == "cuda" and "draws_cuda" in state:
            torch.cuda.set_rng_state(state["draws_cuda"], self.device)

    def _state(self) -> dict[str, Any]:
        state = {
            "model": self.workload.model.state_dict(),
            "stepper": self.stepper.state_dict(),
            "epoch": self.epoch,
            "batch": self.batch,
            "done": self.done,
            "draws": torch.get_rng_state(),
        }
        if self.device.type == "cuda":
            state["draws_cuda"] = torch.cuda.get_rng_state(self.device)
        return state

    def _epoch(self) -> Iterator[Step]:
        """Go on to the end of the epoch, or of the run."""
        batches = self.workload.batches(self.epoch, start=self.batch)
        self.workload.model.train()
        epoch = self.epoch
        while epoch == self.epoch and self.done < self.total:
            losses, rate, skipped = self._descend(batches)
            step = Step(epoch, self.done, self.total, losses, rate, skipped)
            if epoch == self.epoch and self.done < self.total:
                yield step
                continue
            with self._scored() as scores:
                yield replace(step, scores=scores)

    def _descend(self, batches: Iterator[B]) -> tuple[dict[str, float], float, bool]:
        """Take one step; give its mean losses, its rate, and whether it was skipped."""
        size = min(self.recipe.accumulate, self.workload.steps - self.batch)
        # A skipped step moves nothing, so the schedule does not move on with it.
        taken = self.done - self.stepper.skipped
        rate = self.recipe.lr * factor(
            self.recipe.schedule, taken, self.total, warmup=self.recipe.warmup
        )
        self._draw_apart()
        told: list[dict[str, Tensor]] = []
        losses = self._losses(islice(batches, size), size, told)
        skipped = self.stepper.step(losses, lr=rate)
        if self.average and not skipped:
            self.average.update()
        self.done, self.batch = self.done + 1, self.batch + size
        if self.batch >= self.workload.steps:
            self.epoch, self.batch = self.epoch + 1, 0
        means = {name: sum(float(part[name]) for part in told) / size for name in told[0]}
        return self.ranks.mean(means), rate, skipped

    def _draw_apart(self) -> None:
        """Have each rank draw for itself (dropout), the same again where a run is taken up."""
        if self.ranks.count > 1:
            torch.manual_seed(derive(self._seed, "rank", self.ranks.rank, self.done))

    def _losses(
        self, batches: Iterable[B], size: int, told: list[dict[str, Tensor]]
    ) -> Iterator[Tensor]:
        """Give each batch's share of the loss; leave its terms in `told`."""
        for number, batch in enumerate(batches, start=1):
            weight = self.ranks.weight(len(batch))
            with self.passes.gathering(last=number == size):
                terms = {name: term * weight for name, term in self.passes(batch).items()}
                loss = torch.stack(list(terms.values())).sum()
                told.append({name: term.detach() for name, term in {**terms, "loss": loss}.items()})
                yield loss / size

    def _pass(self, batch: B) -> Mapping[str, Tensor]:
        """Run the model and give the terms of the loss."""
        with self.precision.autocast(self.device):
            outputs = self.workload.forward(batch)
        return self.workload.loss(outputs, batch)

    @contextmanager
    def _scored(self) -> Generator[Mapping[str, float]]:
        """Score the model; averaged weights, where there are any, are in place until the end."""
        with self.average.swapped() if self.average else nullcontext():
            self.workload.model.eval()
            with torch.no_grad():
                scores = self.ranks.as_first(self.workload.score())
            yield scores

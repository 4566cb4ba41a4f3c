"""What is wanted of a checkpoint: an objective, hard constraints, targets, and what breaks ties.

The score of a checkpoint is the sum of its metrics times their weights, minus where lower is
better. Constraints say which checkpoints may win at all; targets are asked of the winner alone.
"""

import operator
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from polyspace.config import Config
from polyspace.errors import ConfigError

Direction = Literal["up", "down"]
Relation = Literal["<", "<=", ">", ">="]
HOLDS: Mapping[Relation, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Tie(Config):
    """A metric that decides between equal scores."""

    metric: str
    """Its column."""
    direction: Direction = "up"
    """Whether more of it is better, or less."""

    def gain(self, metrics: Mapping[str, float]) -> float:
        """Give the metric so that more is better."""
        value = metrics[self.metric]
        return value if self.direction == "up" else -value


class Term(Tie):
    """A part of the score."""

    weight: Annotated[float, Field(ge=0)] = 1.0
    """What it counts for; metrics are taken as they are, so that scales matter."""


class Bound(Config):
    """What a metric has to be."""

    metric: str
    """Its column."""
    op: Relation
    """How it relates to the limit."""
    limit: float
    """What it is compared with."""

    def __str__(self) -> str:
        """Write it as it is typed."""
        return f"{self.metric}{self.op}{self.limit:g}"

    def holds(self, metrics: Mapping[str, float]) -> bool:
        """Say whether it is so."""
        return HOLDS[self.op](metrics[self.metric], self.limit)

    def violation(self, metrics: Mapping[str, float]) -> float:
        """Give how far beyond the limit the metric is, as a share of the limit; 0 where it isn't.

        A limit of 0 has no share: the distance itself is given.
        """
        beyond = metrics[self.metric] - self.limit
        distance = max(0.0, beyond if self.op.startswith("<") else -beyond)
        return distance / (abs(self.limit) or 1.0)


def each_once(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    """Give an objective back.

    Raises:
        ConfigError: It counts a metric twice.
    """
    for name, count in Counter(term.metric for term in terms).items():
        if count > 1:
            raise ConfigError(f"{name} is {count} times in the objective: give it once, weighted")
    return terms


class Policy(Config):
    """How one checkpoint is chosen."""

    name: str = "custom"
    """What the policy is called in records."""
    objective: Annotated[tuple[Term, ...], Field(min_length=1), AfterValidator(each_once)]
    """Terms of the score; the highest score wins."""
    constraints: tuple[Bound, ...] = ()
    """What a checkpoint has to fulfil to be chosen."""
    targets: tuple[Bound, ...] = ()
    """What the chosen one is hoped, or required, to fulfil."""
    on_missed_target: Literal["warn", "require"] = "warn"
    """warn: say so and go on; require: publish nothing."""
    tie_break: tuple[Tie, ...] = ()
    """What decides between equal scores, first things first; in the end the lowest step does."""
    on_none_pass: Literal["fail", "least_violation"] = "fail"
    """What happens if no checkpoint fulfils the constraints: nothing is published, or the one that
    is beyond its limits by the smallest sum of shares is chosen, and marked."""

    def metrics(self) -> Iterator[str]:
        """Give every metric that the policy asks for, each once."""
        parts = (*self.objective, *self.constraints, *self.targets, *self.tie_break)
        yield from dict.fromkeys(part.metric for part in parts)

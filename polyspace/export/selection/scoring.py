"""Who wins: scores, constraints, and what breaks ties; the order of rows decides nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import fsum, inf, isfinite

from polyspace.errors import ConfigError, SelectionError
from polyspace.export.selection.matching import Found
from polyspace.export.selection.policy import Policy


@dataclass(frozen=True)
class Judged:
    """A checkpoint, and what the policy says of it."""

    found: Found
    metrics: Mapping[str, float]
    """Those of the table, and those that are derived from them."""
    score: float
    violations: Mapping[str, float]
    """How far beyond their limits metrics are, in shares, by the constraint that isn't met."""
    missed: tuple[str, ...]
    """Targets that aren't met."""

    @property
    def passes(self) -> bool:
        """Say whether it fulfils every constraint."""
        return not self.violations

    @property
    def violation(self) -> float:
        """Give the sum of what it is beyond its limits."""
        return fsum(self.violations.values())

    @property
    def step(self) -> int:
        """Give its step."""
        return self.found.row.step


def judge(found: Found, metrics: Mapping[str, float], policy: Policy) -> Judged:
    """Apply a policy to one checkpoint.

    Raises:
        ConfigError: The policy asks for a metric that was not measured.
        SelectionError: The score is too large for a number.
    """
    missing = [name for name in policy.metrics() if name not in metrics]
    if missing:
        raise ConfigError(
            f"the policy asks for {missing[0]!r}, which was not measured: known are "
            f"{', '.join(metrics)}"
        )
    score = _score(found, metrics, policy)
    missed = tuple(str(target) for target in policy.targets if not target.holds(metrics))
    violations = {
        str(bound): bound.violation(metrics)
        for bound in policy.constraints
        if not bound.holds(metrics)
    }
    return Judged(found, metrics, score, violations, missed)


def _score(found: Found, metrics: Mapping[str, float], policy: Policy) -> float:
    try:
        score = fsum(term.weight * term.gain(metrics) for term in policy.objective)
    except (OverflowError, ValueError):  # of numbers whose sum has none
        score = inf
    if not isfinite(score):
        raise SelectionError(f"step {found.row.step} has no finite score: mend weights or metrics")
    return score


def choose(judged: Sequence[Judged], policy: Policy) -> Judged:
    """Give the winner: the highest score among those that pass.

    Raises:
        SelectionError: None passes, and the policy doesn't take the nearest; or the winner misses a
            target that is required.
    """
    winner = next(ranked(judged, policy))
    if not winner.passes and policy.on_none_pass == "fail":
        beyond = ", ".join(winner.violations)
        raise SelectionError(
            f"none of {len(judged)} checkpoints fulfils {', '.join(map(str, policy.constraints))} "
            f"(step {winner.step} comes nearest, without {beyond}): train on, loosen a "
            f"constraint, or take the nearest with --on_none_pass least_violation"
        )
    if winner.missed and policy.on_missed_target == "require":
        raise SelectionError(
            f"the best checkpoint, step {winner.step}, misses {', '.join(winner.missed)}, which "
            f"is required: train on, lower the target, or --on_missed_target warn"
        )
    return winner


def ranked(judged: Sequence[Judged], policy: Policy) -> Iterator[Judged]:
    """Give checkpoints from the winner down: by violation, score, ties, and the lowest step."""

    def key(one: Judged) -> tuple[float | int, ...]:
        ties = (tie.gain(one.metrics) for tie in policy.tie_break)
        return one.passes, -one.violation, one.score, *ties, -one.step

    yield from sorted(judged, key=key, reverse=True)

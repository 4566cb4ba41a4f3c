"""The options of the command line that say what is wanted, and the policy that they come to."""

from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

from polyspace.config import Config
from polyspace.errors import ConfigError
from polyspace.export.selection import phrases, spectral
from polyspace.export.selection.policy import Policy, Term, Tie, each_once

SCORES = Policy(
    name="scores", objective=(Term(metric="top1"),), tie_break=(Tie(metric="log_likelihood"),)
)
"""What training itself keeps of a fusion or a student's head."""
EXPLAINED = Policy(name="explained", objective=(Term(metric="r2"),))
"""What training itself keeps of converters behind a trunk."""


class PolicyOptions(Config):
    """What is wanted of a checkpoint."""

    policy: Path | None = None
    """JSON or YAML file of a whole policy; leaves no room for the options below."""
    preset: Literal["auto", "scores", "explained", "spectral"] = "auto"
    """scores: top1, ties by log_likelihood; explained: r2; spectral: eleven columns on indices and
    edges; auto: the one that the table has the columns of."""
    maximise: tuple[str, ...] = ()
    """Metrics to maximise, instead of the preset's, each as NAME or NAME=WEIGHT."""
    minimise: tuple[str, ...] = ()
    """Metrics to minimise, instead of the preset's, each as NAME or NAME=WEIGHT."""
    require: tuple[str, ...] = ()
    """Constraints that a checkpoint has to fulfil to be chosen, each quoted: "ece<=0.1"."""
    target: tuple[str, ...] = ()
    """What the chosen checkpoint is hoped to fulfil, each quoted: "top1>=0.7"."""
    tie_break: tuple[str, ...] = ()
    """Metrics that decide between equal scores, each as NAME, NAME:up or NAME:down; the lowest step
    does in the end."""
    on_missed_target: Literal["warn", "require"] | None = None
    """warn, unless given; require: nothing is published if the chosen one misses a target."""
    on_none_pass: Literal["fail", "least_violation"] | None = None
    """fail, unless given; least_violation: the one nearest to the constraints is taken."""


def resolve(options: PolicyOptions, names: Collection[str]) -> Policy:
    """Give the policy that options come to for a table of metrics.

    Args:
        options: As given.
        names: Of the table's metrics.

    Raises:
        ConfigError: Options exclude each other, can't be read, or the table fits no preset.
    """
    if options.policy is not None:
        return _from_file(options, options.policy)
    up = tuple(phrases.term(text, "up") for text in options.maximise)
    down = tuple(phrases.term(text, "down") for text in options.minimise)
    objective = each_once((*up, *down))
    if objective and options.preset != "auto":
        raise ConfigError(
            f"--preset {options.preset} has an objective of its own: leave it out, or --maximise "
            f"and --minimise"
        )
    base = Policy(objective=objective) if objective else preset(options.preset, names)
    changes: dict[str, Any] = {
        "constraints": (*base.constraints, *map(phrases.bound, options.require)),
        "targets": (*base.targets, *map(phrases.bound, options.target)),
        "tie_break": tuple(map(phrases.tie, options.tie_break)) or base.tie_break,
        "on_missed_target": options.on_missed_target or base.on_missed_target,
        "on_none_pass": options.on_none_pass or base.on_none_pass,
    }
    return base.model_copy(update=changes)


def preset(name: str, names: Collection[str]) -> Policy:
    """Give a policy that PolySpace has; "auto" is the one that a table's columns are of.

    Raises:
        ConfigError: The columns are of none.
    """
    if name == "auto":
        name = _fitting(names)
    if name == "spectral":
        spectral.check(names)
    return {"scores": SCORES, "explained": EXPLAINED, "spectral": spectral.policy()}[name]


def _fitting(names: Collection[str]) -> str:
    """Name the preset that a table was made for."""
    marks = {"spectral": spectral.METRICS, "scores": ("top1",), "explained": ("r2",)}
    for name, columns in marks.items():
        if all(column in names for column in columns):
            return name
    raise ConfigError(
        f"the table has neither top1, r2 nor the eleven spectral columns, but {', '.join(names)}: "
        f"say what counts with --maximise or --minimise"
    )


def _from_file(options: PolicyOptions, path: Path) -> Policy:
    others = [
        name
        for name, field in PolicyOptions.model_fields.items()
        if name != "policy" and getattr(options, name) != field.default
    ]
    if others:
        raise ConfigError(f"--policy {path} says all, but --{others[0]} was given too: keep one")
    return phrases.read(path)

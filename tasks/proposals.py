"""What a study tries next: the next of a grid, or what Optuna proposes after all that was found.

A proposal depends on the trials so far and on their number alone, so that a study that was stopped
goes on as if it had not been.
"""

from collections.abc import Sequence

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from polyspace.seeding import derive
from polyspace.train.search import Point, Range, Setting, Space
from polyspace.train.sweep import SweepConfig


def wanted(config: SweepConfig, space: Space) -> int:
    """Say how many trials there are to be."""
    return int(space.count if config.method == "grid" else min(config.trials, space.count))


def following(config: SweepConfig, space: Space, trials: Sequence[FrozenTrial]) -> Point | None:
    """Give a point that was not tried; None if there have been enough."""
    tried = {_key(trial.params) for trial in trials}
    number = len(trials)
    if number >= wanted(config, space):
        return None
    if config.method == "grid":
        return next(point for point in space.points() if _key(point) not in tried)
    point = _proposed(space, trials, TPESampler(seed=_seed(config, "tpe", number)))
    draw = 0
    while _key(point) in tried:
        # A trial again would say nothing new.
        point = _proposed(space, (), RandomSampler(seed=_seed(config, "new", number, draw)))
        draw += 1
    return point


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Put what is searched in Optuna's words."""
    return {setting.name: _distribution(setting) for setting in space.settings}


def pruner(config: SweepConfig) -> BasePruner:
    """Give what decides that a trial is ended early."""
    if not config.prune:
        return NopPruner()
    return MedianPruner(
        n_startup_trials=config.prune_after_trials, n_warmup_steps=config.prune_after_epochs
    )


def _proposed(space: Space, trials: Sequence[FrozenTrial], sampler: BaseSampler) -> Point:
    """Ask a sampler, in a study of its own: the journal has only what was really tried."""
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.add_trials(trials)
    return study.ask(distributions(space)).params


def _distribution(setting: Setting) -> BaseDistribution:
    if not isinstance(setting, Range):
        return CategoricalDistribution(list(setting.values))
    if setting.is_whole:
        return IntDistribution(int(setting.low), int(setting.high), log=setting.log)
    return FloatDistribution(setting.low, setting.high, log=setting.log)


def _key(point: Point) -> frozenset[tuple[str, str | int | float]]:
    return frozenset(point.items())


def _seed(config: SweepConfig, *purpose: str | int) -> int:
    """Give a seed of the size that numpy's old generator takes."""
    return derive(config.stage.seed, "sweep", *purpose) % 2**32

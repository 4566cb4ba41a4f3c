"""Policies as they are typed: ``top1=2``, ``ece<=0.1``, ``epoch_seconds:down``, or a file."""

import json
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from polyspace.errors import ConfigError
from polyspace.export.selection.policy import Bound, Direction, Policy, Term, Tie

BOUND = re.compile(r"\s*(?P<metric>[^<>]+?)\s*(?P<op><=|>=|<|>)\s*(?P<limit>[^<>=]+?)\s*")


def term(text: str, direction: Direction) -> Term:
    """Read ``METRIC`` or ``METRIC=WEIGHT``.

    Raises:
        ConfigError: The weight is no number of 0 or more.
    """
    metric, equals, weight = text.rpartition("=")
    if not equals:
        return Term(metric=text.strip(), direction=direction)
    try:
        return Term(metric=metric.strip(), direction=direction, weight=float(weight))
    except ValueError as error:
        raise ConfigError(
            f"{text!r} has a weight of {weight!r}, expected a number of 0 or more: write "
            f"METRIC=WEIGHT"
        ) from error


def bound(text: str) -> Bound:
    """Read ``METRIC<=LIMIT``, with ``<``, ``<=``, ``>`` or ``>=``.

    Raises:
        ConfigError: It isn't of that form.
    """
    found = BOUND.fullmatch(text)
    try:
        return Bound.model_validate(found.groupdict() if found else {})
    except ValidationError as error:
        raise ConfigError(
            f"{text!r} is no condition: write METRIC, one of < <= > >=, and a number, in quotes, "
            f'like "ece<=0.1"'
        ) from error


def tie(text: str) -> Tie:
    """Read ``METRIC``, ``METRIC:up`` or ``METRIC:down``; more is better, unless it says down."""
    metric, _, direction = text.rpartition(":")
    if direction in ("up", "down"):
        return Tie(metric=metric.strip(), direction=direction)
    return Tie(metric=text.strip())


def read(path: Path) -> Policy:
    """Read a policy from a JSON or YAML file.

    Raises:
        ConfigError: It is not there, can't be parsed, or is no policy.
    """
    try:
        text = path.read_text(encoding="utf-8")
        given: Any = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        return Policy.model_validate({"name": path.stem, **given})
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}: mend --policy") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole file"
        raise ConfigError(
            f"{path} is no policy: {place}: {first['msg']}; docs/selection.md shows one"
        ) from error
    except (ValueError, TypeError, yaml.YAMLError) as error:
        first = " ".join(str(error).split())[:160]
        raise ConfigError(f"{path} is neither JSON nor YAML of a policy ({first})") from error

"""Stages driven to their ends."""

from collections.abc import Generator
from typing import TypeVar

Y = TypeVar("Y")
R = TypeVar("R")


def finish(stage: Generator[object, None, R]) -> R:
    """Give what a stage returns."""
    return follow(stage)[1]


def follow(stage: Generator[Y, None, R]) -> tuple[list[Y], R]:
    """Give what a stage yields, and what it returns."""
    yielded: list[Y] = []
    while True:
        try:
            yielded.append(next(stage))
        except StopIteration as end:
            return yielded, end.value

"""What a long stage says while it works: how far it is, and where."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

R = TypeVar("R")


@dataclass(frozen=True)
class Progress:
    """A sign of life; satisfies `polyspace.console.Advance`."""

    done: int
    total: int
    words: str

    def __str__(self) -> str:
        """Say where the stage is."""
        return self.words


def silently(work: Generator[object, None, R]) -> R:
    """Run work that says how far it is to its end, without listening; give what it returns."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value

"""What a long stage says while it works: how far it is, and where."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """A sign of life; satisfies `polyspace.console.Advance`."""

    done: int
    total: int
    words: str

    def __str__(self) -> str:
        """Say where the stage is."""
        return self.words

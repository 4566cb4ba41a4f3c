"""Clips of which there is nothing, and why: what the store notes, and how it is read back."""

from collections import Counter
from collections.abc import Iterable
from typing import get_args

from polyspace.errors import VideoError, VideoReason

REASONS: tuple[str, ...] = get_args(VideoReason)
UNNAMED = "unnamed"
"""The reason of notes that give none: those of stores before schema 2."""


def note(error: VideoError) -> str:
    """Write down why there is nothing of a clip: the reason, the file, and what is wrong."""
    return f"{error.reason}: {error}"


def split_note(text: str) -> tuple[str, str]:
    """Take a note apart: the reason, and the file with what is wrong."""
    reason, _, rest = text.partition(": ")
    return (reason, rest) if reason in REASONS else (UNNAMED, text)


def count_reasons(notes: Iterable[str]) -> dict[str, int]:
    """Count notes by their reason, the commonest first."""
    return dict(Counter(split_note(text)[0] for text in notes).most_common())

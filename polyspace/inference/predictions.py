"""Predictions: what is noted of each video that was scored, and what many of them come to."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

from polyspace.errors import VideoReason

PASSING: tuple[VideoReason, ...] = ("time-out", "memory", "crash")
"""Reasons for which there is nothing of a video that may be gone the next time."""


class Identity(NamedTuple):
    """What tells a file that was scored from one that wasn't."""

    path: str
    """Relative to the folder that was scored, with forward slashes."""
    size_bytes: int
    modified_ns: int
    """When it was last modified, in ns since 1970."""


@dataclass(frozen=True)
class Row:
    """What came of one video."""

    file: Identity
    """Which one."""
    bundle: str
    """sha256 of the bundle's SHA256SUMS, which names every byte of it."""
    seconds: float
    """Its share of the time of its part: decoding, the student, and the model."""
    status: Literal["scored", "refused"]
    reason: VideoReason | None = None
    """Why there is nothing of it, for tables; null where it was scored."""
    error: str | None = None
    """The same in words."""
    top1: str | None = None
    top1_probability: float | None = None
    probabilities: Sequence[float] | None = None
    """Of every class, in the order of the file's class names."""

    def plain(self) -> dict[str, Any]:
        """Give it by the names of a table's columns."""
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        return {**own.pop("file")._asdict(), **own}


@dataclass(frozen=True)
class Summary:
    """What a table of predictions holds."""

    videos: int
    scored: int
    refused: Mapping[str, int]
    """Videos that could not be read, by reason, the commonest first."""
    classes: Mapping[str, int]
    """Videos by their likeliest class, the commonest first."""
    seconds: float
    """What scoring all of them took."""

    def __str__(self) -> str:
        """Say it in a line."""
        why = ", ".join(f"{count} {reason}" for reason, count in self.refused.items())
        bad = f", {sum(self.refused.values())} could not be read ({why})" if why else ""
        most = ", ".join(f"{name} {count}" for name, count in list(self.classes.items())[:5])
        return f"{self.scored} of {self.videos} videos scored{bad}; {most or 'no class'}"


def summarise(rows: Iterable[Mapping[str, Any]]) -> Summary:
    """Count rows by what came of them.

    Args:
        rows: With at least reason, top1 and seconds.
    """
    found = list(rows)
    refused = Counter(row["reason"] for row in found if row["reason"] is not None)
    classes = Counter(row["top1"] for row in found if row["top1"] is not None)
    return Summary(
        videos=len(found),
        scored=len(found) - refused.total(),
        refused=dict(refused.most_common()),
        classes=dict(classes.most_common()),
        seconds=sum(row["seconds"] for row in found),
    )

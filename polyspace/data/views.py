"""How a clip is looked at: windows in seconds and squares of the picture, alike for all backbones.

Every backbone samples its own number of frames inside the same window, so that what one of them
says of a moment can be compared with what another says of it.
"""

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from polyspace.errors import ConfigError


@dataclass(frozen=True)
class View:
    """One look at a clip."""

    start_seconds: float
    """When the first sampled frame is shown, from the start of the clip."""
    stop_seconds: float
    """When the last one is; past the clip's last frame, that one is repeated."""
    place: float = 0.5
    """Where the square is cut along the longer side: 0 left or top, 1 right or bottom."""
    flipped: bool = False
    """Whether left and right are exchanged."""


@dataclass(frozen=True)
class Viewing:
    """Which views there are of every clip of a split."""

    segments: int = 1
    """Equal parts of the clip; the window lies in the middle of each."""
    crops: int = 1
    """Squares along the longer side: 1 is the centre, 3 both ends and the centre."""
    window_seconds: float | None = None
    """From the first sampled frame of a view to the last; None: the whole segment."""
    drawn: int = 0
    """Views drawn at random in place of those: anywhere in the clip, anywhere along the side."""
    flips: bool = False
    """Whether drawn views are flipped, half of them."""
    seed: int = 0
    """Draws them."""

    def __post_init__(self) -> None:
        """Refuse what gives no view, or drawn views beside ordered ones.

        Raises:
            ConfigError: It is so.
        """
        if min(self.segments, self.crops) < 1 or self.drawn < 0:
            raise ConfigError("views: expected at least one segment and one crop")
        if self.window_seconds is not None and self.window_seconds <= 0:
            raise ConfigError(f"a window of {self.window_seconds:g} s holds nothing: expected > 0")

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> "Viewing":
        """Read back what `record` said.

        Raises:
            ConfigError: It doesn't say all that makes the views.
        """
        if record.get("window") == "whole clip":
            return cls()
        names = [field.name for field in fields(cls)]
        if lacking := [name for name in names if name not in record]:
            raise ConfigError(
                f"the features' protocol doesn't say {', '.join(lacking)} of their views: extract "
                f"them with polyspace.data.featurize"
            )
        return cls(**{name: record[name] for name in names})

    @property
    def count(self) -> int:
        """Give the number of views of each clip."""
        return self.drawn or self.segments * self.crops

    def views(self, name: str, last_seconds: float) -> tuple[View, ...]:
        """Give the views of one clip.

        Args:
            name: The clip's id, which the drawn ones depend on beside the seed.
            last_seconds: When the clip's last frame is shown, from its start.
        """
        if self.drawn:
            draws = (random.Random(f"{self.seed}/view/{name}/{n}") for n in range(self.drawn))
            return tuple(self._drawn(draw, last_seconds) for draw in draws)
        return tuple(
            View(*self._window((part + 0.5) / self.segments, last_seconds), place)
            for part in range(self.segments)
            for place in self._places()
        )

    def record(self) -> Mapping[str, Any]:
        """Say all that makes the views, for the store; the default as it always was."""
        if self == Viewing():
            return {"views": 1, "window": "whole clip", "sampling": "even in time"}
        return {"views": self.count, "sampling": "even in time", **asdict(self)}

    def _window(self, centre: float, last_seconds: float) -> tuple[float, float]:
        """Lay a window around a point of the clip, within it as far as the clip is long enough."""
        length = self.window_seconds or last_seconds / self.segments
        room = max(last_seconds - length, 0.0)
        start = min(max(centre * last_seconds - length / 2, 0.0), room)
        return start, start + length

    def _places(self) -> list[float]:
        return [n / (self.crops - 1) for n in range(self.crops)] if self.crops > 1 else [0.5]

    def _drawn(self, draw: random.Random, last_seconds: float) -> View:
        length = self.window_seconds or last_seconds
        start = draw.random() * max(last_seconds - length, 0.0)
        return View(start, start + length, draw.random(), self.flips and draw.random() < 0.5)

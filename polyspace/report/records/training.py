"""How training went."""

from pathlib import Path

from polyspace.errors import RecordError
from polyspace.report.records.record import Record, read


class Curves(Record):
    """curves.json: mean losses and hold-out scores by epoch; epoch 0 has scores only."""

    epochs: tuple[dict[str, float], ...]

    def of(self, name: str) -> tuple[list[float], list[float]]:
        """Give the epochs that have a value of that name, and the values."""
        seen = [(epoch["epoch"], epoch[name]) for epoch in self.epochs if name in epoch]
        return [epoch for epoch, _ in seen], [value for _, value in seen]

    def best(self, *by: str) -> dict[str, float]:
        """Give the epoch that was kept: the first of the highest scores; more of them break ties.

        Raises:
            RecordError: No epoch has these scores.
        """
        scored = [epoch for epoch in self.epochs if all(name in epoch for name in by)]
        if not scored:
            raise RecordError(f"no epoch of these curves has {' and '.join(by)}: train again")
        return max(scored, key=lambda epoch: tuple(epoch[name] for name in by))

    def ending(self, end: str) -> list[str]:
        """Give the names that end so, in the order in which they appear."""
        names = dict.fromkeys(name for epoch in self.epochs for name in epoch)
        return [name for name in names if name.endswith(end)]


def read_curves(path: Path) -> Curves:
    """Read a training stage's curves.json.

    Raises:
        RecordError: It isn't there, or isn't one.
    """
    return read(path, Curves)

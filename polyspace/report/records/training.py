"""How training went."""

from pathlib import Path

from polyspace.report.records.record import Record, read


class Curves(Record):
    """curves.json: mean losses and hold-out scores by epoch; epoch 0 has scores only."""

    epochs: tuple[dict[str, float], ...]

    def of(self, name: str) -> tuple[list[float], list[float]]:
        """Give the epochs that have a value of that name, and the values."""
        seen = [(epoch["epoch"], epoch[name]) for epoch in self.epochs if name in epoch]
        return [epoch for epoch, _ in seen], [value for _, value in seen]

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

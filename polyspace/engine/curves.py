"""Training curves: what a run leaves for whoever wants to draw it."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from polyspace.engine.loop import Step
from polyspace.files import write_atomically


@dataclass
class Curves:
    """Mean losses and hold-out scores, epoch by epoch."""

    epochs: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    _steps: list[Step] = field(default_factory=list[Step])

    def add(self, step: Step) -> None:
        """Take one step in; the last of an epoch closes it."""
        if step.losses:
            self._steps.append(step)
        if step.scores:
            self.epochs.append({"epoch": step.epoch, **self._means(), **step.scores})
            self._steps.clear()

    def write(self, path: Path) -> None:
        """Write all epochs so far as JSON."""
        text = json.dumps({"epochs": self.epochs}, indent=1)
        write_atomically(path, lambda file: file.write(text.encode()))

    def _means(self) -> dict[str, float]:
        taken = [step for step in self._steps if not step.skipped]
        names = taken[0].losses if taken else ()
        return {name: sum(step.losses[name] for step in taken) / len(taken) for name in names}

"""Training curves: what a run leaves for whoever wants to draw it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from polyspace.engine.loop import Step
from polyspace.files import write_atomically


@dataclass
class Curves:
    """Mean losses and hold-out scores, epoch by epoch."""

    epochs: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    _losses: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    """Of the steps since, without the skipped ones."""
    _skipped: int = 0

    def add(self, step: Step) -> None:
        """Take one step in; the last of an epoch closes it."""
        if step.skipped:
            self._skipped += 1
        elif step.losses:
            self._losses.append(dict(step.losses))
        if step.scores:
            self.epochs.append({"epoch": step.epoch, **self._means(), **step.scores})
            self._losses.clear()
            self._skipped = 0

    def write(self, path: Path) -> None:
        """Write all epochs so far as JSON."""
        text = json.dumps({"epochs": self.epochs}, indent=1)
        write_atomically(path, lambda file: file.write(text.encode()))

    def state_dict(self) -> dict[str, Any]:
        """Give everything, as plain values."""
        return {"epochs": self.epochs, "losses": self._losses, "skipped": self._skipped}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what other curves had."""
        self.epochs, self._losses = list(state["epochs"]), list(state["losses"])
        self._skipped = state["skipped"]

    def _means(self) -> dict[str, float]:
        # Not every step has every term: one of several models may have been left behind.
        names = dict.fromkeys(name for taken in self._losses for name in taken)
        means = {name: fmean(t[name] for t in self._losses if name in t) for name in names}
        return means | ({"skipped_steps": float(self._skipped)} if self._skipped else {})

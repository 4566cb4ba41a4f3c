"""Which epoch is kept: each converter's own best one, or, behind a trunk, one for all of them.

A trunk's weights belong to all teachers at once, so that one epoch has to do for all: the one whose
mean R² over the teachers is highest on the hold-out.
"""

from dataclasses import dataclass, field

from torch import nn

from polyspace.engine.loop import Step
from polyspace.engine.selection import Best
from polyspace.models.converters import Translator


@dataclass(frozen=True, eq=False)
class Kept:
    """Weights that are kept from one epoch, and the teachers whose scores choose it."""

    model: nn.Module
    teachers: tuple[str, ...]
    best: Best = field(default_factory=Best)

    def offer(self, step: Step) -> None:
        """Take the weights over if their mean score is the highest so far."""
        scores = [step.scores[f"r2/{teacher}"] for teacher in self.teachers]
        mean = sum(scores) / len(scores)
        self.best.offer(mean, *scores, epoch=step.epoch, state=self.model.state_dict())

    def restore(self) -> dict[str, float]:
        """Put the best weights back; give each teacher's score at that epoch."""
        self.model.load_state_dict(self.best.state)
        return dict(zip(self.teachers, self.best.score[1:], strict=True))


def choices(translator: Translator) -> dict[str, Kept]:
    """Give what is kept apart, by name."""
    if translator.width:
        return {"trunk": Kept(translator, tuple(translator.specs))}
    return {name: Kept(translator[name].converter, (name,)) for name in translator.specs}

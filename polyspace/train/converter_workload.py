"""Training converters: student tokens in, the teachers' standardised tokens as targets."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32, Int64
from numpy import ndarray
from torch import Tensor

from polyspace import losses
from polyspace.models.converters import Translator
from polyspace.train.batches import Division, in_order, shuffled
from polyspace.train.fit import BATCH, target
from polyspace.train.sources import StoredClips

Translations = Mapping[str, Float[Tensor, "clip _ _ _"]]

COSINE_WEIGHT, SMOOTH_L1_WEIGHT = 0.9, 0.1
"""Source: Theia (arXiv 2407.20179), section 3: direction first, size as an anchor."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Some clips as the student and as the teachers see them, standardised."""

    student: Float32[Tensor, "clip time space dim"]
    targets: Translations


class ConverterWorkload:
    """All teachers side by side: they share batches, but no weights and no loss."""

    def __init__(
        self,
        translator: Translator,
        clips: StoredClips,
        division: Division,
        *,
        batch: int,
        seed: int,
    ) -> None:
        self.model, self.clips, self.division = translator, clips, division
        self.batch, self.seed = batch, seed
        self.steps = -(-len(division.fit) // batch)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Shuffle the rows that are fitted on, and read them."""
        window = self.clips.window([self.model.student_name, *self.model.specs])
        order = shuffled(self.division.fit, self.batch, seed=self.seed, epoch=epoch, window=window)
        return map(self._read, order)

    def forward(self, batch: Batch) -> Translations:
        """Translate a batch for every teacher."""
        return self.model(batch.student)

    def loss(self, outputs: Translations, batch: Batch) -> Mapping[str, Tensor]:
        """Give each teacher's cosine and smooth-L1 terms."""
        terms: dict[str, Tensor] = {}
        for teacher, predicted in outputs.items():
            pair = predicted.float(), batch.targets[teacher]
            terms[f"{teacher}/cosine"] = COSINE_WEIGHT * losses.cosine(*pair)
            terms[f"{teacher}/smooth_l1"] = SMOOTH_L1_WEIGHT * losses.smooth_l1(*pair)
        return terms

    def score(self) -> Mapping[str, float]:
        """Give each teacher's share of explained variance on the hold-out, and their mean."""
        errors = dict.fromkeys(self.model.specs, 0.0)
        totals = dict.fromkeys(self.model.specs, 0.0)
        for batch in map(self._read, in_order(self.division.held, BATCH)):
            for teacher, predicted in self.model(batch.student).items():
                errors[teacher] += float((predicted - batch.targets[teacher]).square().sum())
                totals[teacher] += float(batch.targets[teacher].square().sum())
        scores = {f"r2/{name}": 1 - errors[name] / totals[name] for name in errors}
        return {"r2": sum(scores.values()) / len(scores), **scores}

    @torch.no_grad()
    def _read(self, rows: Int64[ndarray, " clip"]) -> Batch:
        student = self.clips.tokens(self.model.student_name, rows)
        targets = {
            teacher: target(self.model[teacher], self.clips, teacher, rows)
            for teacher in self.model.specs
        }
        return Batch(student=self.model.student(student), targets=targets)

"""Training converters: student tokens in, the teachers' standardised tokens as targets."""

from collections.abc import Iterator, Mapping

import torch
from jaxtyping import Float, Int64
from numpy import ndarray
from torch import Tensor

from polyspace import losses
from polyspace.models.converters import Translator
from polyspace.train.batches import Division, in_order, shuffled
from polyspace.train.fit import BATCH, target
from polyspace.train.sources import Clips

Rows = Int64[ndarray, " clip"]
Translations = Mapping[str, Float[Tensor, "clip _ _ _"]]

COSINE_WEIGHT, SMOOTH_L1_WEIGHT = 0.9, 0.1
"""Source: Theia (arXiv 2407.20179), section 3: direction first, size as an anchor."""


class ConverterWorkload:
    """All teachers side by side: they share batches, but no weights and no loss."""

    def __init__(
        self, translator: Translator, clips: Clips, division: Division, *, batch: int, seed: int
    ) -> None:
        self.model, self.clips, self.division = translator, clips, division
        self.batch, self.seed = batch, seed
        self.steps = -(-len(division.fit) // batch)

    def batches(self, epoch: int) -> Iterator[Rows]:
        """Shuffle the rows that are fitted on."""
        return shuffled(self.division.fit, self.batch, seed=self.seed, epoch=epoch)

    def forward(self, batch: Rows) -> Translations:
        """Translate a batch for every teacher."""
        return self.model(self._student(batch))

    def loss(self, outputs: Translations, batch: Rows) -> Mapping[str, Tensor]:
        """Give each teacher's cosine and smooth-L1 terms."""
        terms: dict[str, Tensor] = {}
        for teacher, predicted in outputs.items():
            true = target(self.model[teacher], self.clips, teacher, batch)
            predicted = predicted.float()
            terms[f"{teacher}/cosine"] = COSINE_WEIGHT * losses.cosine(predicted, true)
            terms[f"{teacher}/smooth_l1"] = SMOOTH_L1_WEIGHT * losses.smooth_l1(predicted, true)
        return terms

    def score(self) -> Mapping[str, float]:
        """Give each teacher's share of explained variance on the hold-out, and their mean."""
        errors = dict.fromkeys(self.model.specs, 0.0)
        totals = dict.fromkeys(self.model.specs, 0.0)
        for rows in in_order(self.division.held, BATCH):
            for teacher, predicted in self.model(self._student(rows)).items():
                true = target(self.model[teacher], self.clips, teacher, rows)
                errors[teacher] += float((predicted - true).square().sum())
                totals[teacher] += float(true.square().sum())
        scores = {f"r2/{name}": 1 - errors[name] / totals[name] for name in errors}
        return {"r2": sum(scores.values()) / len(scores), **scores}

    def _student(self, rows: Rows) -> Float[Tensor, "clip time space dim"]:
        with torch.no_grad():
            return self.model.student(self.clips.tokens(self.model.student_name, rows))

"""Training converters: student tokens in, the teachers' normalised tokens as targets."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import torch
from jaxtyping import Float, Float32, Int64
from numpy import ndarray
from torch import Tensor

from polyspace.errors import ConfigError
from polyspace.losses.mix import LossMix
from polyspace.models.converters import BATCH_STATISTICS, Translator
from polyspace.models.normalizers import origin
from polyspace.ranks import ALONE, Ranks
from polyspace.train.balance import (
    Balanced,
    BalanceKind,
    Explained,
    Losses,
    Uncertainty,
    mean_losses,
)
from polyspace.train.batches import Division, in_order, shuffled
from polyspace.train.fit import BATCH, target
from polyspace.train.sources import StoredClips

Translations = Mapping[str, Float[Tensor, "clip _ _ _"]]

LOSSES = ("cosine=0.9", "smooth_l1=0.1")
"""Source: Theia (arXiv 2407.20179), section 3: direction first, size as an anchor."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Some clips as the student and as the teachers see them, normalised."""

    student: Float32[Tensor, "clip time space dim"]
    targets: Translations
    videos: Int64[Tensor, " clip"]
    """Equal for views of one video."""

    def __len__(self) -> int:
        """Count the clips."""
        return len(self.videos)


class ConverterWorkload:
    """All teachers side by side: they share batches and, behind a trunk, its weights."""

    def __init__(
        self,
        translator: Translator,
        clips: StoredClips,
        division: Division,
        *,
        losses: LossMix,
        batch: int,
        seed: int,
        ranks: Ranks = ALONE,
        balance: BalanceKind = "none",
    ) -> None:
        """Take what is trained, on what, and how.

        Raises:
            ConfigError: A loss compares more clips than a batch has, or several ranks can't train
                this together.
        """
        self.translator, self.clips, self.division = translator, clips, division
        self.model = Balanced(translator, balance)
        self.losses, self.batch, self.seed, self.ranks = losses, batch, seed, ranks
        losses.check(min(batch, len(division.fit)))
        self._check_ranks()
        full, rest = divmod(len(division.fit), batch)
        # What is compared across a batch needs whole ones: a small rest would be mostly chance.
        whole = full and (losses.least_clips > 1 or self._has_batch_statistics())
        self.steps = full + (rest > 0 and not whole)

    @torch.no_grad()
    def start_balance(self) -> None:
        """Measure what teachers are weighed by; the normalizers have to be fitted before.

        Raises:
            ConfigError: A teacher's mean alone loses nothing.
        """
        balance = self.model.balance
        if isinstance(balance, Explained | Uncertainty):
            rows = shuffled(self.division.fit, self.batch, seed=self.seed, epoch=1)
            balance.start_at(mean_losses(map(self._of_means, islice(rows, self.steps))))

    def batches(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """Shuffle the rows that are fitted on, and read them from one batch on."""
        window = self.clips.window([self.translator.student_name, *self.translator.specs])
        order = shuffled(
            self.division.fit,
            self.batch,
            seed=self.seed,
            epoch=epoch,
            start=start,
            window=window,
            ranks=self.ranks,
        )
        return map(self._read, islice(order, self.steps - start))

    def forward(self, batch: Batch) -> Translations:
        """Translate a batch for every teacher."""
        return self.model(batch.student)

    def loss(self, outputs: Translations, batch: Batch) -> Mapping[str, Tensor]:
        """Give each teacher's weighted losses, balanced against each other, in float32."""
        # Losses that compare clips compare those of all ranks.
        seen = self.ranks.whole if self.losses.least_clips > 1 else _own
        said = {teacher: seen(predicted.float()) for teacher, predicted in outputs.items()}
        targets = {teacher: seen(true) for teacher, true in batch.targets.items()}
        return self.model.balance(self._losses(said, targets, seen(batch.videos)))

    def score(self) -> Mapping[str, float]:
        """Give each teacher's share of explained variance on the hold-out, and their mean."""
        specs = self.translator.specs
        errors, totals = dict.fromkeys(specs, 0.0), dict.fromkeys(specs, 0.0)
        origins = {name: origin(self.translator[name].teacher) for name in specs}
        for batch in map(self._read, in_order(self.division.held, BATCH)):
            for teacher, predicted in self.model(batch.student).items():
                true = batch.targets[teacher]
                errors[teacher] += float((predicted - true).square().sum())
                totals[teacher] += float((true - origins[teacher]).square().sum())
        scores = {f"r2/{name}": 1 - errors[name] / totals[name] for name in errors}
        return {"r2": sum(scores.values()) / len(scores), **scores}

    def _has_batch_statistics(self) -> bool:
        """Say whether a converter is trained with statistics of batches, which two clips can have.

        Raises:
            ConfigError: Batches have one clip.
        """
        specs = self.translator.specs.values()
        kinds = [spec.kind for spec in specs if spec.kind in BATCH_STATISTICS]
        if kinds and min(self.batch, len(self.division.fit)) < 2:
            raise ConfigError(
                f"{kinds[0]} takes statistics of a batch's clips, but a batch has 1: "
                f"raise --batch, give more clips, or choose another --kind"
            )
        return bool(kinds)

    def _check_ranks(self) -> None:
        """Refuse what several ranks can't do together."""
        self.ranks.check(min(self.batch, len(self.division.fit)))
        specs = self.translator.specs.values()
        kinds = [spec.kind for spec in specs if spec.kind in BATCH_STATISTICS]
        if kinds and self.ranks.count > 1:
            raise ConfigError(
                f"{kinds[0]} takes statistics of a batch's clips, which {self.ranks.count} "
                f"processes don't share: train it with one, or choose another --kind"
            )

    def _losses(
        self, predicted: Translations, targets: Translations, videos: Int64[Tensor, " clip"]
    ) -> Losses:
        """Give each teacher's weighted losses."""
        return {
            teacher: self.losses(said, targets[teacher], videos)
            for teacher, said in predicted.items()
        }

    def _of_means(self, rows: Int64[ndarray, " clip"]) -> tuple[int, Losses]:
        """Give what is lost on some clips if every teacher's mean is said of each."""
        targets = self._targets(rows)
        means = {
            teacher: origin(self.translator[teacher].teacher).expand_as(true)
            for teacher, true in targets.items()
        }
        return len(rows), self._losses(means, targets, self._videos(rows))

    @torch.no_grad()
    def _read(self, rows: Int64[ndarray, " clip"]) -> Batch:
        student = self.clips.tokens(self.translator.student_name, rows)
        return Batch(
            student=self.translator.student(student),
            targets=self._targets(rows),
            videos=self._videos(rows),
        )

    def _targets(self, rows: Int64[ndarray, " clip"]) -> Translations:
        return {
            teacher: target(self.translator[teacher], self.clips, teacher, rows)
            for teacher in self.translator.specs
        }

    def _videos(self, rows: Int64[ndarray, " clip"]) -> Int64[Tensor, " clip"]:
        return torch.from_numpy(rows // self.clips.views).to(self.clips.device)


def _own(clips: Tensor) -> Tensor:
    return clips

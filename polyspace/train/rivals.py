"""Several fusions on one pass over the data: alike, but for how fast they learn and decay."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from polyspace.engine.optimizer import Part
from polyspace.errors import ConfigError
from polyspace.models.fusion import Fused, Fusion
from polyspace.train.fusion_workload import SCORES, Batch, FusionWorkload, ranked


@dataclass(frozen=True)
class Pace:
    """How fast one of the rivals learns, and how fast its matrices decay."""

    rate: float
    """Factor of the run's learning rate."""
    weight_decay: float

    def __str__(self) -> str:
        """Name it, in characters that MLflow takes."""
        return f"rate {self.rate:g} decay {self.weight_decay:g}"


class RivalWorkload:
    """Fusions that start with the same weights, each with a loss and a part of its own.

    What is dear about a batch, reading and translating it, is done once for all of them. One whose
    loss is no longer finite is left behind; the others go on. Several ranks, which would have to
    agree on it, skip such a step instead.

    Source: the attentive probes of V-JEPA 2 (arXiv 2506.09985) are trained so, twenty at once. They
    are chosen on the hold-out here, not on what is reported.
    """

    def __init__(self, one: FusionWorkload, paces: Sequence[Pace]) -> None:
        """Set as many fusions going as there are paces.

        Args:
            one: An untrained fusion, and where its inputs come from.
            paces: How each learns.

        Raises:
            ConfigError: Two are the same.
        """
        if len(set(paces)) < len(paces):
            raise ConfigError(
                f"--lr_factors and --weight_decays come to {len(paces)} pairs, expected each once: "
                f"leave out what is there twice"
            )
        self.one, self.clips, self.steps = one, one.clips, one.steps
        self.model = nn.ModuleList(deepcopy(one.model) for _ in paces)
        self.members: Mapping[str, Fusion] = dict(
            zip(map(str, paces), self._fusions(), strict=True)
        )
        self.parts = [
            Part(member, pace.weight_decay, pace.rate)
            for member, pace in zip(self._fusions(), paces, strict=True)
        ]

    def batches(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """Read the batches that all are shown."""
        return self.one.batches(epoch, start=start)

    def forward(self, batch: Batch) -> list[Fused]:
        """Have every fusion classify a batch."""
        given = batch.inputs
        return [fusion(given.student, given.translated) for fusion in self._fusions()]

    def loss(self, outputs: Sequence[Fused], batch: Batch) -> Mapping[str, Tensor]:
        """Give every fusion's losses; of those that are finite, unless none is."""
        terms = {
            name: {f"{term}/{name}": value for term, value in self.one.loss(fused, batch).items()}
            for name, fused in zip(self.members, outputs, strict=True)
        }
        finite = [name for name, own in terms.items() if _is_finite(own)]
        kept = finite if finite and self.one.ranks.count == 1 else terms
        return {key: value for name in kept for key, value in terms[name].items()}

    def score(self) -> Mapping[str, float]:
        """Score every fusion on the hold-out, and name the best scores."""
        scores = {
            f"{score}/{name}": value
            for name, fusion in self.members.items()
            for score, value in self.one.score_of(fusion).items()
        }
        best = max(self.members, key=lambda name: ranked(scores, name))
        return {score: scores[f"{score}/{best}"] for score in SCORES} | scores

    def _fusions(self) -> Iterator[Fusion]:
        for module in self.model:
            assert isinstance(module, Fusion)
            yield module


def _is_finite(terms: Mapping[str, Tensor]) -> bool:
    return bool(torch.isfinite(torch.stack(list(terms.values())).sum()))

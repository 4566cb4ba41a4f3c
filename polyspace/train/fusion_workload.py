"""Training a fusion, or anything of its shape: the student alone is a fusion of no teachers."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32, Int64
from numpy import ndarray
from torch import Tensor
from torch.nn import functional

from polyspace.engine.optimizer import Part
from polyspace.engine.selection import comparable
from polyspace.metrics import classification
from polyspace.models.converters import Translator
from polyspace.models.fusion import Fused, Fusion
from polyspace.ranks import ALONE, Ranks
from polyspace.train.batches import Division, in_order, shuffled
from polyspace.train.sources import StoredClips

Rows = Int64[ndarray, " clip"]

SMOOTHING = 0.1
"""Share of the target that is spread over all classes: few clips make a head overconfident.
Source: Szegedy et al. (arXiv 1512.00567), section 7."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a fusion takes of a batch of clips, all standardised."""

    student: Float[Tensor, "clip time space dim"]
    translated: Mapping[str, Float[Tensor, "clip _ _ _"]]


@dataclass(frozen=True, eq=False)
class Batch:
    """Inputs of some clips, and their classes."""

    inputs: Inputs
    labels: Int64[Tensor, " clip"]

    def __len__(self) -> int:
        """Count the clips."""
        return len(self.labels)


def translated(clips: StoredClips, translator: Translator) -> Callable[[Rows], Inputs]:
    """Give the inputs that a fusion has at inference: the student, and its translations."""

    def inputs(rows: Rows) -> Inputs:
        student = translator.student(clips.tokens(translator.student_name, rows))
        return Inputs(student=student, translated=translator.eval()(student))

    return inputs


SCORES = ("top1", "log_likelihood")
"""What ranks fusions on the hold-out; the second breaks ties of the first."""


def ranked(scores: Mapping[str, float], name: str = "") -> tuple[float, ...]:
    """Give what ranks a fusion among others; one of several is called by its name."""
    return tuple(
        comparable(tuple(scores[f"{score}/{name}" if name else score] for score in SCORES))
    )


class FusionWorkload:
    """A fusion, and where its inputs come from; nothing behind `inputs` is trained."""

    def __init__(
        self,
        fusion: Fusion,
        inputs: Callable[[Rows], Inputs],
        clips: StoredClips,
        division: Division,
        *,
        batch: int,
        seed: int,
        ranks: Ranks = ALONE,
    ) -> None:
        ranks.check(batch)
        self.model, self.inputs, self.clips, self.division = fusion, inputs, clips, division
        self.batch, self.seed, self.ranks = batch, seed, ranks
        self.steps = -(-len(division.fit) // batch)
        self.members: Mapping[str, Fusion] = {"": fusion}
        """What may be chosen in the end, by name."""
        self.parts: Sequence[Part] = ()
        """What descends at rates of its own: nothing."""

    def batches(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """Shuffle the rows that are fitted on, and read them from one batch on."""
        order = shuffled(
            self.division.fit,
            self.batch,
            seed=self.seed,
            epoch=epoch,
            start=start,
            ranks=self.ranks,
        )
        return map(self._read, order)

    def forward(self, batch: Batch) -> Fused:
        """Fuse and classify a batch."""
        return self.model(batch.inputs.student, batch.inputs.translated)

    def loss(self, outputs: Fused, batch: Batch) -> Mapping[str, Tensor]:
        """Give cross-entropy, and what the join keeps small."""
        logits = outputs.logits.float()
        entropy = functional.cross_entropy(logits, batch.labels, label_smoothing=SMOOTHING)
        return {"cross_entropy": entropy, **outputs.penalties}

    def score(self) -> Mapping[str, float]:
        """Score the fusion on the hold-out."""
        return self.score_of(self.model)

    def score_of(self, fusion: Fusion) -> Mapping[str, float]:
        """Give a fusion's top-1 accuracy and mean log-likelihood on the hold-out."""
        logits = predict(fusion, self.inputs, self.division.held, batch=self.batch).logits
        labels = self.clips.labels[self.division.held]
        # Not argmax: a fusion that is still untrained says the same of all classes, which would
        # recognise the clips of the first one.
        right = classification.hits(logits.numpy(), labels)
        entropy = functional.cross_entropy(logits, torch.from_numpy(labels))
        return {"top1": float(right.mean()), "log_likelihood": -float(entropy)}

    @torch.no_grad()
    def _read(self, rows: Rows) -> Batch:
        inputs = self.inputs(rows)
        labels = torch.from_numpy(self.clips.labels[rows]).to(inputs.student.device)
        return Batch(inputs=inputs, labels=labels)


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a fusion says of many clips, on the CPU."""

    logits: Float32[Tensor, "clip label"]
    gates: Mapping[str, Float32[Tensor, "clip time space"]]

    def over_views(self, views: int) -> "Predictions":
        """Average the chances and the gates of each clip's views, which lie one after the other."""
        if views == 1:
            return self
        chances = self.logits.unflatten(0, (-1, views)).softmax(-1).mean(1)
        gates = {n: gate.unflatten(0, (-1, views)).mean(1) for n, gate in self.gates.items()}
        # A chance of exactly nothing has no logarithm.
        return Predictions(chances.clamp_min(torch.finfo(chances.dtype).tiny).log(), gates)


@torch.no_grad()
def predict(
    fusion: Fusion,
    inputs: Callable[[Rows], Inputs],
    rows: Rows,
    *,
    batch: int,
    without: Collection[str] = (),
) -> Predictions:
    """Run a fusion in evaluation mode, batch by batch, and without some of its teachers."""
    fusion.eval()
    said: list[Fused] = []
    for part in in_order(rows, batch):
        given = inputs(part)
        said.append(fusion(given.student, given.translated, without))
    return Predictions(
        logits=torch.cat([fused.logits.float().cpu() for fused in said]),
        gates={
            name: torch.cat([fused.gates[name].float().cpu() for fused in said])
            for name in said[0].gates
        },
    )

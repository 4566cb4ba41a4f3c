"""What a backbone's own classifier decides on true and on translated features, clip by clip."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray
from torch import Tensor
from torch.nn import functional

from polyspace.metrics import classification
from polyspace.models.backbones.classifier import Classifier
from polyspace.models.backbones.protocol import Features
from polyspace.models.converters import Translator
from polyspace.models.normalizers import origin
from polyspace.train.batches import in_order
from polyspace.train.fit import BATCH
from polyspace.train.fusion_workload import Rows
from polyspace.train.sources import StoredClips

Chances = Float64[Tensor, "clip label"]

FEW = 5
"""Classes among which a decision counts as nearly the same."""


@dataclass(frozen=True, eq=False)
class Decisions:
    """Decisions on some clips."""

    true: Int64[ndarray, " clip"]
    """Likeliest class on true features."""
    translated: Int64[ndarray, " clip"]
    few: Bool[ndarray, " clip"]
    """Whether the first is among the few likeliest on translated ones."""
    divergence: Float64[ndarray, " clip"]
    whole: Int64[ndarray, " clip"]
    """Likeliest class on the mean of all tokens; on stored ones where there is no such mean."""


def decide(
    translator: Translator, teacher: str, clips: StoredClips, rows: Rows, classifier: Classifier
) -> Decisions:
    """Let the classifier decide on whole clips, batch by batch; memory grows by numbers a clip.

    Args:
        translator: The trained converters.
        teacher: Whose classifier it is.
        clips: Where features are; both kinds are read in the teacher's own space.
        rows: Rows of whole clips, all views of each; the chances of a clip's views are averaged.
        classifier: Whose weights are those of the features.
    """
    parts = [vars(part) for part in _decisions(translator, teacher, clips, rows, classifier)]
    return Decisions(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


@torch.no_grad()
def ignorant(translator: Translator, teacher: str, classifier: Classifier) -> Chances:
    """Give the chances of the teacher's training mean, said of a whole grid."""
    route = translator[teacher]
    shape, mean = route.spec.target, route.teacher.inverse(origin(route.teacher))
    return _chances(classifier, mean.expand(1, shape.time, shape.space, -1), views=1)


@torch.no_grad()
def _decisions(
    translator: Translator, teacher: str, clips: StoredClips, rows: Rows, classifier: Classifier
) -> Iterator[Decisions]:
    """Decide on batches of whole clips."""
    route = translator.eval()[teacher]
    for part in in_order(rows[:: clips.views], max(1, BATCH // clips.views)):
        views = (part[:, None] + np.arange(clips.views)).reshape(-1)
        student = translator.student(clips.tokens(translator.student_name, views))
        true = _chances(classifier, clips.tokens(teacher, views), clips.views)
        said = _chances(classifier, route.teacher.inverse(route(student)), clips.views)
        whole = _whole(classifier, teacher, clips, part) if classifier.reads == "mean" else true
        choices = true.argmax(1).numpy()
        yield Decisions(
            true=choices,
            translated=said.argmax(1).numpy(),
            few=classification.hits(said.numpy(), choices, k=FEW),
            divergence=_divergence(true, said).numpy(),
            whole=whole.argmax(1).numpy(),
        )


def _chances(classifier: Classifier, tokens: Tensor, views: int) -> Chances:
    """Average the chances of each clip's views."""
    logits = classifier(Features(tokens=tokens, summary=tokens.mean((1, 2))))
    return logits.double().softmax(-1).unflatten(0, (-1, views)).mean(1).cpu()


def _whole(classifier: Classifier, teacher: str, clips: StoredClips, rows: Rows) -> Chances:
    """Decide on the mean of all tokens, which is the summary of backbones without a class token."""
    numbers = rows // clips.views
    seen = [
        clips.store.summary(teacher, numbers, device=clips.device, view=view)
        for view in range(clips.views)
    ]
    means = torch.stack(seen, 1).flatten(0, 1)
    return _chances(classifier, means[:, None, None], clips.views)


def _divergence(true: Chances, said: Chances) -> Float64[Tensor, " clip"]:
    """Give KL(true || said) in nats; a chance of nothing counts as the least there is."""
    least = torch.finfo(said.dtype).tiny
    return functional.kl_div(said.clamp_min(least).log(), true, reduction="none").sum(1)

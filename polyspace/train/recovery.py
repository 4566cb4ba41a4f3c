"""Whether a teacher's own classifier decides on translated features as it does on true ones.

Similarity of features says little of what they are good for. The classifier that the teacher was
fine-tuned with knows which directions matter, and it was trained on true features alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from polyspace.errors import MissingWeightsError, WeightsError
from polyspace.metrics.intervals import Estimate, bootstrap
from polyspace.models.backbones import registry
from polyspace.models.backbones.classifier import Classifier
from polyspace.models.backbones.weights import again, only_here
from polyspace.models.converters import Translator
from polyspace.train import naming
from polyspace.train.decisions import FEW, Decisions, decide, ignorant
from polyspace.train.fusion_workload import Rows
from polyspace.train.sources import StoredClips


@dataclass(frozen=True)
class Gap:
    """Why a teacher's classifier says nothing of its translations."""

    teacher: str
    reason: str


@dataclass(frozen=True)
class Accuracy:
    """How often the classifier is right, on clips of classes that it knows by name."""

    classes: int
    """Classes of the data set whose names are among the classifier's (see `class_names.plain`)."""
    clips: int
    """Clips of these classes; a decision for any other class of the classifier's is wrong."""
    true: float
    """Top-1 accuracy on true features."""
    translated: float
    """On translated ones."""
    kept: float | None
    """Second over first; None where the first is 0."""


@dataclass(frozen=True)
class Recovery:
    """What of a teacher's decisions is left when its features are translations."""

    teacher: str
    source: str
    """Where the classifier is from."""
    classes: int
    """Classes that it decides between."""
    clips: int
    reads: str
    """What it reads: the mean of the tokens, or the tokens."""
    agreement: Estimate
    """Share of clips of which the likeliest class is the same."""
    agreement_top5: float | None
    """Share of clips whose likeliest class on true features is among the five likeliest on
    translated ones; None where there are no more than five."""
    kl_nats: float
    """Mean Kullback-Leibler divergence of the chances on translated features from true ones."""
    ignorant: float
    """Agreement of a translation that ignores the clip and says the teacher's training mean."""
    commonest: float
    """Share of clips that get the class that is decided for most often on true features."""
    whole: float | None
    """Agreement between stored true features and all tokens, where the store has those' mean: what
    pooling and storing alone change. None where it can't be known."""
    approximate: bool
    """Whether stored tokens are fewer than the classifier was trained on, and none of them is
    the mean that it reads."""
    accuracy: Accuracy | None
    """None where no class of the data set is among the classifier's by name."""
    note: str
    """What a reader has to know of these figures, in a sentence; often nothing."""


def recovery(
    translator: Translator,
    teacher: str,
    clips: StoredClips,
    rows: Rows,
    *,
    weights: Mapping[str, str],
    resamples: int = 2000,
    seed: int = 0,
) -> Recovery | Gap:
    """Let a teacher's own classifier decide on true and on translated features of the same clips.

    Both are read as stored, in the teacher's own space. The chances of a clip's views are averaged.
    Memory grows by a few numbers a clip.

    Args:
        translator: The trained converters.
        teacher: One of its teachers.
        clips: Where true features and the student's are.
        rows: Rows of whole clips, all views of each.
        weights: Folders by backbone, where they aren't where they were at extraction.
        resamples: Of the bootstrap over groups.
        seed: Draws them.

    Raises:
        DatasetError: All clips are of one group.
    """
    found = own_classifier(teacher, clips, weights)
    if isinstance(found, Gap):
        return found
    said = decide(translator, teacher, clips, rows, found)
    first = rows[:: clips.views]
    groups = tuple(clips.groups[row] for row in first)
    same = (said.true == said.translated).astype(np.float64)
    random = np.random.default_rng(seed)
    agreement = bootstrap(same, groups, resamples=resamples, random=random)
    mean = ignorant(translator, teacher, found)
    accuracy = _accuracy(found, said, clips, first)
    approximate = found.reads == "tokens" and _pooled(clips, teacher)
    return Recovery(
        teacher=teacher,
        source=found.weights.source,
        classes=mean.shape[1],
        clips=len(first),
        reads=found.reads,
        agreement=agreement,
        agreement_top5=float(said.few.mean()) if mean.shape[1] > FEW else None,
        kl_nats=float(said.divergence.mean()),
        ignorant=float((said.true == int(mean.argmax())).mean()),
        commonest=float(np.bincount(said.true).max() / len(first)),
        whole=float((said.true == said.whole).mean()) if found.reads == "mean" else None,
        approximate=approximate,
        accuracy=accuracy,
        note=_note(found, approximate, accuracy, clips.dataset),
    )


def own_classifier(
    teacher: str, clips: StoredClips, weights: Mapping[str, str]
) -> Classifier | Gap:
    """Load the classifier of the very weights that features were extracted with; ask no network.

    A checkpoint that can't be used, or holds half a classifier, is a gap like any other: it comes
    late in an evaluation, and says nothing against the rest.
    """
    recorded = clips.weights(teacher)
    if str(recorded["source"]).startswith("imported from"):
        return Gap(
            teacher, "its features were imported, and nothing says of which weights they are"
        )
    if teacher not in registry.NAMES:
        return Gap(teacher, "it is no backbone that PolySpace can load a classifier of")
    given = again(teacher, recorded["source"])
    given |= {name: folder for name, folder in weights.items() if name == teacher}
    try:
        with only_here():
            found = registry.load_classifier(teacher, weights=given, device=clips.device)
    except MissingWeightsError as error:
        return Gap(teacher, f"its weights are not on this machine any more ({error})")
    except WeightsError as error:
        return Gap(teacher, f"its checkpoint can't be used ({error})")
    if isinstance(found, str):
        return Gap(teacher, found)
    if found.weights.fingerprint != recorded["fingerprint"]:
        return Gap(
            teacher,
            f"the weights that are found now ({found.weights.source}) are not those that its "
            f"features were extracted with ({recorded['source']}): give --weights of those",
        )
    if found.reads == "class token":
        return Gap(
            teacher,
            "its classifier reads the class token, which is stored as the clip's summary but not "
            "translated: converters translate the other tokens",
        )
    return found


def _accuracy(
    classifier: Classifier, said: Decisions, clips: StoredClips, rows: Rows
) -> Accuracy | None:
    """Score decisions on clips whose class the classifier knows by name."""
    known = naming.match(classifier.class_names, clips.class_names)
    labels = np.array([known.get(label, -1) for label in clips.labels[rows].tolist()])
    counted = labels >= 0
    if not counted.any():
        return None
    true, translated = (
        float((choices == labels)[counted].mean()) for choices in (said.true, said.translated)
    )
    kept = translated / true if true else None
    return Accuracy(len(known), int(counted.sum()), true, translated, kept)


def _pooled(clips: StoredClips, teacher: str) -> bool:
    """Say whether the store keeps fewer tokens than the backbone made."""
    return clips.store.backbones[teacher].provenance.get("spatial") != "full"


def _note(
    classifier: Classifier, approximate: bool, accuracy: Accuracy | None, dataset: str
) -> str:
    """Say what limits the figures."""
    said: list[str] = []
    if classifier.weights.random:
        said.append("the encoder's weights are random, so its decisions mean nothing")
    if approximate:
        said.append(
            "it attends over all tokens, but the store keeps them pooled: its decisions on true "
            "features are an approximation of its own"
        )
    if not classifier.class_names:
        said.append("its checkpoint doesn't name its classes, so accuracy can't be told")
    elif accuracy is None:
        said.append(f"it knows no class of {dataset} by name, so accuracy can't be told")
    return "; ".join(said)

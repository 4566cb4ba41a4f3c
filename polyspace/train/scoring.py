"""Everything in the table, trained where it has to be, and what it says of the test clips."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from jaxtyping import Float32
from numpy import ndarray

from polyspace import precision
from polyspace.models.converters import Translator
from polyspace.models.fusion import Distilled, Fusion
from polyspace.train import probes
from polyspace.train.batches import Division, divide
from polyspace.train.contenders import Contender, Kind, parameters
from polyspace.train.fusion_training import FusionSettings, best_of, make
from polyspace.train.fusion_workload import Predictions, Rows, predict
from polyspace.train.probes import Examples, Probe, ProbeKind
from polyspace.train.recall import recall
from polyspace.train.sources import StoredClips

PROBES: tuple[ProbeKind, ...] = ("knn", "linear")
WORDS: dict[ProbeKind, str] = {
    "knn": f"the {probes.NEIGHBOURS} nearest training clips vote, by the cosine of mean tokens",
    "linear": "logistic regression on the mean of the tokens",
}


@dataclass(frozen=True, eq=False)
class Subject:
    """What is evaluated, and the clips that it is evaluated with."""

    model: Distilled
    fitted: Division
    """The training rows that the converters were fitted on, and those that selected."""
    settings: FusionSettings
    """How the fusion was trained, and so how everything beside it is."""
    train: StoredClips
    test: StoredClips
    rows: Rows
    """Rows of the test split that every backbone has seen."""

    @property
    def translator(self) -> Translator:
        """The converters."""
        return self.model.translator

    @property
    def fusion(self) -> Fusion:
        """What they are fused by."""
        return self.model.fusion

    @property
    def clips(self) -> Rows:
        """The first view of each clip among them."""
        return self.rows[:: self.test.views]

    @property
    def backbones(self) -> tuple[str, ...]:
        """Student and teachers."""
        return (self.translator.student_name, *self.translator.specs)

    @property
    def groups(self) -> tuple[str, ...]:
        """The group of each clip."""
        return tuple(self.test.groups[row] for row in self.clips)

    @property
    def labels(self) -> Rows:
        """The class of each clip."""
        return self.test.labels[self.clips]


@dataclass(frozen=True, eq=False)
class Scored:
    """A row of the table, and what it said of the test clips: once for every seed."""

    name: str
    kind: Kind
    words: str
    parameters: int
    said: tuple[Predictions, ...]

    @property
    def logits(self) -> tuple[Float32[ndarray, "clip label"], ...]:
        """What each of its trainings gave."""
        return tuple(said.logits.numpy() for said in self.said)


def score(entry: Contender, subject: Subject, *, seeds: int, first: Fusion | None = None) -> Scored:
    """Train a contender as the fusion was trained, with several seeds, and score each.

    Args:
        entry: Which.
        subject: What it is compared with.
        seeds: How many; they count up from the fusion's own.
        first: What the first of them has given already: the fusion that is evaluated.
    """
    trained = _trained(entry, subject, seeds=seeds if entry.repeated else 1, first=first)
    inputs, views = entry.view(subject.test), subject.test.views
    said = tuple(
        predict(fusion, inputs, subject.rows, batch=subject.settings.batch).over_views(views)
        for fusion in trained
    )
    # Of the same shape whatever the seed.
    count = parameters(Fusion(entry.spec)) + entry.before
    return Scored(entry.name, entry.kind, entry.words, count, said)


def _trained(
    entry: Contender, subject: Subject, *, seeds: int, first: Fusion | None
) -> Iterator[Fusion]:
    """Give the fusions of all seeds, one after the other; what they read is computed once."""
    train, settings = subject.train, subject.settings
    rows = train.rows(subject.backbones)
    if first is not None:
        yield first
    left = range(0 if first is None else 1, seeds)
    if not left:
        return
    with TemporaryDirectory() as folder:
        inputs = recall(entry.view(train), rows, Path(folder))
        for number in left:
            own = settings.model_copy(update={"seed": settings.seed + number})
            division = divide(train, rows, share=own.hold_out, seed=own.seed)
            types = precision.resolve(
                precision.choose(use_amp=own.use_amp, use_bf16=own.use_bf16), train.device
            )
            workload = make(entry.spec, inputs, train, division, own)
            yield best_of(workload, own, types, train.device)


def probe(kind: ProbeKind, backbone: str, subject: Subject) -> Scored:
    """Fit a probe to one backbone's own features, and score it.

    Raises:
        DatasetError: The training clips are too few for it, or of one class.
    """
    fitted = probes.examples(subject.translator, backbone, subject.train, subject.fitted)
    asked = probes.vectors(subject.translator, backbone, subject.test, subject.rows)
    read = _fitted(kind, *fitted, classes=len(subject.fusion.spec.class_names))
    said = Predictions(read(asked), {}).over_views(subject.test.views)
    own = backbone == subject.translator.student_name
    words = f"{backbone} alone: {WORDS[kind]}"
    count = len(subject.fusion.spec.class_names) * (asked.shape[1] + 1) if kind == "linear" else 0
    return Scored(f"{kind}:{backbone}", "baseline" if own else "upper bound", words, count, (said,))


def _fitted(kind: ProbeKind, known: Examples, held: Examples, *, classes: int) -> Probe:
    if kind == "knn":
        return probes.nearest(known, classes=classes)
    return probes.linear(known, held, classes=classes)

"""Answer, on held-out clips, whether fusing translations beats the student alone.

Everything is fitted and selected on the training split; the test split is looked at once.
"""

import time
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from pydantic import Field

from polyspace import console, precision
from polyspace.config import Config
from polyspace.engine import checkpoint
from polyspace.models.fusion import Distilled
from polyspace.precision import DeviceName
from polyspace.progress import Progress
from polyspace.train import evidence, provenance
from polyspace.train.batches import divide
from polyspace.train.contenders import Contender, contenders, parameters
from polyspace.train.evidence import Scored, Subject
from polyspace.train.fusion_training import FusionSettings, best_of, make
from polyspace.train.fusion_workload import predict, translated
from polyspace.train.recall import recall
from polyspace.train.sources import StoredClips, class_names
from polyspace.train.translation import quality


class EvaluateConfig(Config):
    """What to evaluate, and on which features."""

    dataset: str
    """Data set."""
    features: Path
    """Folder that holds the feature stores of both splits."""
    student: str
    """Backbone whose features are translated."""
    teachers: Annotated[tuple[str, ...], Field(min_length=1)]
    """Teachers that were fused."""
    converters: Path
    """Checkpoint written by train_converter."""
    fusion: Path
    """Checkpoint written by train_fusion."""
    train_split: str = "train"
    """Split that baselines are fitted on."""
    split: str = "test"
    """Split that everything is scored on."""
    out: Path = Path("evaluation")
    """Folder for evaluation.json, predictions.npz and vectors.npz."""
    resamples: Annotated[int, Field(ge=100)] = 2000
    """Bootstrap resamples over groups."""
    device: DeviceName = "auto"
    """Where to compute."""
    seed: int = 0
    """Decides untrained converters and the bootstrap; baselines train with the fusion's seed."""


def run(config: EvaluateConfig) -> Generator[Progress, None, Path]:
    """Fit the baselines, score everything once on the test split, write the record; return it.

    Raises:
        CheckpointError: Converters or fusion are missing, or something else.
        StoreError: A split's features are missing, or of other weights than were trained on.
    """
    started = time.monotonic()
    subject = _open(config)
    entries = contenders(
        subject.translator,
        subject.fusion.spec,
        shapes={name: subject.test.shape(name) for name in config.teachers},
        seed=config.seed,
    )
    total = len(entries) + len(config.teachers)
    scored = [_score_fusion(subject)]
    for done, entry in enumerate(entries):
        yield Progress(done, total, f"fitting {entry.name}")
        scored.append(_score(entry, subject))
    translation: dict[str, Any] = {}
    for done, teacher in enumerate(config.teachers, start=len(entries)):
        yield Progress(done, total, f"translation into {teacher}")
        translation[teacher] = _translation(subject, teacher)
    yield Progress(total, total, "writing")
    record = evidence.record(
        subject, scored, command=_command(config), resamples=config.resamples, seed=config.seed
    )
    record |= {"translation": translation, "seconds": round(time.monotonic() - started, 1)}
    return evidence.write(config.out, record, subject, scored)


def _open(config: EvaluateConfig) -> Subject:
    """Load what is evaluated, and check that it meets the features that it was trained on."""
    device = precision.device_named(config.device)
    converters = checkpoint.load(config.converters, "converters")
    fusion = checkpoint.load(config.fusion, "fusion")
    train, test = (
        StoredClips.find(config.features, dataset=config.dataset, split=split, device=device)
        for split in (config.train_split, config.split)
    )
    for name in (config.student, *config.teachers):
        for clips in (train, test):
            provenance.check_weights(converters["provenance"], clips, name, "converters")
    trained_with = fusion["provenance"]["config"]
    names = FusionSettings.model_fields
    model = Distilled.from_records(converters, fusion).to(device)
    provenance.check_teachers(model.fusion.spec.teachers, config.teachers, config.fusion)
    class_names(test, len(model.fusion.spec.class_names))
    settled = converters["provenance"]["config"]
    rows = train.rows((config.student, *config.teachers))
    return Subject(
        translator=model.translator,
        fusion=model.fusion,
        fitted=divide(train, rows, share=settled["hold_out"], seed=settled["seed"]),
        settings=FusionSettings.model_validate(
            {name: trained_with[name] for name in names if name in trained_with}
        ),
        train=train,
        test=test,
        rows=test.rows((config.student, *config.teachers)),
    )


def _score_fusion(subject: Subject) -> Scored:
    """Score the method itself."""
    inputs = translated(subject.test, subject.translator)
    return Scored(
        name="fusion",
        kind="method",
        words="student and translations through gates: what runs at inference",
        parameters=parameters(subject.fusion) + parameters(subject.translator),
        said=predict(subject.fusion, inputs, subject.rows, batch=subject.settings.batch).over_views(
            subject.test.views
        ),
    )


def _score(entry: Contender, subject: Subject) -> Scored:
    """Train one contender as the fusion was trained, and score it."""
    settings, train = subject.settings, subject.train
    rows = train.rows(subject.backbones)
    division = divide(train, rows, share=settings.hold_out, seed=settings.seed)
    types = precision.resolve(
        precision.choose(use_amp=settings.use_amp, use_bf16=settings.use_bf16), train.device
    )
    with TemporaryDirectory() as folder:
        inputs = recall(entry.view(train), rows, Path(folder))
        workload = make(entry.spec, inputs, train, division, settings)
        fusion = best_of(workload, settings, types, train.device)
    return Scored(
        name=entry.name,
        kind=entry.kind,
        words=entry.words,
        parameters=parameters(fusion) + entry.before,
        said=predict(
            fusion, entry.view(subject.test), subject.rows, batch=settings.batch
        ).over_views(subject.test.views),
    )


def _translation(subject: Subject, teacher: str) -> dict[str, dict[str, float]]:
    """Measure one teacher's converter beside the closed-form ones."""
    measured = quality(
        subject.translator, teacher, subject.train, subject.fitted, subject.test, subject.rows
    )
    return {kind: asdict(alignment) for kind, alignment in measured.items()}


def _command(config: EvaluateConfig) -> str:
    """Write the command that evaluates this again."""
    paths = f"--features {config.features} --converters {config.converters}"
    names = f"--dataset {config.dataset} --student {config.student}"
    teachers = " ".join(config.teachers)
    return (
        f"python -m polyspace.train.evaluate {names} --teachers {teachers} {paths} "
        f"--fusion {config.fusion} --seed {config.seed}"
    )


def main(config: EvaluateConfig) -> None:
    """Evaluate, and print each method's accuracy."""
    path = console.show(run(config), "evaluate")
    for method in evidence.read(path)["methods"]:
        top1 = method["top1"]
        interval = f"[{top1['low']:.1%}, {top1['high']:.1%}]"
        console.say(f"{method['name']:32} top-1 {top1['value']:6.1%} {interval}")
    console.say(f"wrote {path}")


if __name__ == "__main__":
    console.run(EvaluateConfig, main)

"""Answer, on held-out clips, whether fusing translations beats the student alone.

Everything is fitted and selected on the training split; the test split is looked at once.
"""

import shutil
import time
from collections.abc import Generator
from pathlib import Path
from typing import Annotated

from pydantic import Field

from polyspace import console, precision
from polyspace.engine import checkpoint
from polyspace.models.fusion import Distilled
from polyspace.precision import DeviceName
from polyspace.progress import Progress
from polyspace.train import evidence, guard, projections, provenance
from polyspace.train.assessment import Assessment, AssessmentSettings
from polyspace.train.batches import divide
from polyspace.train.fusion_training import FusionSettings
from polyspace.train.scoring import Subject
from polyspace.train.sources import StoredClips


class EvaluateConfig(AssessmentSettings):
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
    """Folder for evaluation.json and what its report is drawn from."""
    device: DeviceName = "auto"
    """Where to compute."""


def run(config: EvaluateConfig) -> Generator[Progress, None, Path]:
    """Fit the baselines, score everything once on the test split, write the record; return it.

    Raises:
        CheckpointError: Converters or fusion are missing, or something else.
        StoreError: A split's features are missing, or of other weights than were trained on.
    """
    started = time.monotonic()
    assessment = Assessment(config, open_subject(config))
    steps = assessment.steps()
    for done, (name, step) in enumerate(steps):
        yield Progress(done, len(steps), name)
        step()
    yield Progress(len(steps), len(steps), "writing")
    _keep_curves(config)
    seconds = round(time.monotonic() - started, 1)
    return assessment.write(config.out, _command(config), seconds=seconds)


def open_subject(config: EvaluateConfig) -> Subject:
    """Load what is evaluated, and check that it meets the features that it was trained on.

    Raises:
        CheckpointError: Converters or fusion are missing, or something else.
        StoreError: A split's features are missing, or of other weights than were trained on.
        LabelError: One of the splits is of one class, or of other classes than the model's.
        DatasetError: All test clips are of one group, or were trained on.
    """
    if config.umap:
        projections.refuse_missing_umap()
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
    guard.check(train, test, model.fusion.spec.class_names, (config.student, *config.teachers))
    settled = converters["provenance"]["config"]
    rows = train.rows((config.student, *config.teachers))
    return Subject(
        model=model,
        fitted=divide(train, rows, share=settled["hold_out"], seed=settled["seed"]),
        settings=FusionSettings.model_validate(
            {name: trained_with[name] for name in names if name in trained_with}
        ),
        train=train,
        test=test,
        rows=test.rows((config.student, *config.teachers)),
    )


def _keep_curves(config: EvaluateConfig) -> None:
    """Put the training curves beside the record, so that its folder is all that a report needs."""
    config.out.mkdir(parents=True, exist_ok=True)
    for name in ("converters", "fusion"):
        there: Path = getattr(config, name).with_name("curves.json")
        if there.is_file():
            shutil.copyfile(there, config.out / f"curves_{name}.json")


def _command(config: EvaluateConfig) -> str:
    """Write the command that evaluates this again."""
    paths = f"--features {config.features} --converters {config.converters}"
    names = f"--dataset {config.dataset} --student {config.student}"
    teachers = " ".join(config.teachers)
    videos = f" --root {config.root}" if config.root else ""
    weights = "".join(f" --weights {given}" for given in config.weights)
    return (
        f"python -m polyspace.train.evaluate {names} --teachers {teachers} {paths} "
        f"--fusion {config.fusion}{videos}{weights} --seeds {config.seeds} --seed {config.seed}"
    )


def main(config: EvaluateConfig) -> None:
    """Evaluate, and print each method's accuracy."""
    path = console.show(run(config), "evaluate")
    for method in evidence.read(path)["methods"]:
        top1 = method["top1"]
        interval = f"[{top1['low']:.1%}, {top1['high']:.1%}]"
        console.say(f"{method['name']:32} top-1 {top1['value']:6.1%} {interval}")
    console.say(f"wrote {path}")
    console.say(f"next: polyspace report {config.out}")


if __name__ == "__main__":
    console.run(EvaluateConfig, main)

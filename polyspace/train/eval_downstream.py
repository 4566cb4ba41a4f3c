"""Score a trained fusion, or the student alone, on one split.

For the whole table, with baselines and controls, there is ``polyspace.train.evaluate``.
"""

import json
from collections.abc import Callable, Generator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from pydantic import Field
from tyro.conf import FlagCreatePairsOff, arg

from polyspace import console, precision
from polyspace.console import Advance
from polyspace.engine import checkpoint
from polyspace.errors import ConfigError, UnknownNameError
from polyspace.files import write_atomically
from polyspace.metrics import classification
from polyspace.models.fusion import Distilled, Fusion
from polyspace.precision import Precision
from polyspace.train import fit, provenance
from polyspace.train.batches import divide
from polyspace.train.fusion_training import FusionSettings, best_of, make
from polyspace.train.fusion_workload import Inputs, Predictions, Rows, predict, translated
from polyspace.train.recall import recall
from polyspace.train.sources import (
    SourceSettings,
    StoredClips,
    answer_fp16,
    class_names,
    open_clips,
)
from polyspace.train.train_student import load_head, seen, with_itself


class EvalDownstreamConfig(SourceSettings):
    """What to score, and on which clips."""

    split: str = "test"
    """Split to score on."""
    teachers: tuple[str, ...] = ()
    """Teachers that were fused."""
    converters: Path | None = None
    """Checkpoint written by train_converter."""
    fusion: Path | None = None
    """Checkpoint written by train_fusion."""
    without: tuple[str, ...] = ()
    """Teachers to do without, as if their translations were missing."""
    student_only: bool = False
    """Score the student alone: a classifier on its features, fitted on the train split."""
    student_head: Path | None = None
    """Checkpoint written by train_student, for --student_only; one is fitted, unless given."""
    classes: Annotated[int, Field(ge=2)] | None = None
    """Number of classes; a trained fusion knows its own."""
    batch: Annotated[int, Field(ge=1)] = 32
    """Clips at a time."""
    epochs: Annotated[int, Field(ge=1)] = 30
    """Passes over the train split, for --student_only."""
    use_amp: bool = False
    """Compute in float16, whatever was trained in."""
    use_bf16: bool = False
    """Compute in bfloat16, whatever was trained in."""
    device: precision.DeviceName = "auto"
    """Where to compute."""
    seed: int = 0
    """Decides the order of clips, for --student_only."""
    as_json: Annotated[bool, arg(name="json"), FlagCreatePairsOff] = False
    """Print the record itself, for programs, and nothing else."""
    save_dir: Path = Path("checkpoints/evaluation")
    """Where eval_{split}.json goes, and the student's features if they come from videos."""


def run(config: EvalDownstreamConfig) -> Generator[Advance, None, Path]:
    """Score; return the record, JSON.

    Raises:
        ConfigError: Neither a fusion with its converters nor --student_only was given, or both.
        StoreError: There are no such features, or of other weights than were trained on.
        LabelError: A label lies outside the classes.
        PrecisionError: The device can't compute in the type asked for.
    """
    if config.student_head and not config.student_only:
        raise ConfigError("--student_head is for --student_only: give that too, or leave it out")
    if config.student_only == (config.fusion is not None and config.converters is not None):
        raise ConfigError(
            "what shall be scored? give both --converters and --fusion, or --student_only alone"
        )
    device = precision.device_named(config.device)
    compute = precision.choose(use_amp=config.use_amp, use_bf16=config.use_bf16)
    types = precision.resolve(compute, device)
    types.settle(device)
    scratch = config.save_dir / "features"
    clips = yield from open_clips(config, split=config.split, device=device, scratch=scratch)
    answer_fp16(config, clips)
    rows = clips.rows((config.student,))
    if config.student_only:
        head, inputs = yield from _student_alone(config, clips, types)
    else:
        head, inputs = _fused(config, clips)
    with types.autocast(device):
        said = predict(head, inputs, rows, batch=config.batch, without=config.without)
    return _write(config, clips, rows, said)


def main(config: EvalDownstreamConfig) -> None:
    """Score, and print the result: as JSON for programs, in sentences for people."""
    path = console.show(run(config), "evaluate")
    if config.as_json:
        console.say(path.read_text())
        return
    found: dict[str, Any] = json.loads(path.read_text())
    console.say(
        f"{found['what']} on {found['dataset']} {found['split']}: top-1 {found['top1']:.1%}, "
        f"top-5 {found['top5']:.1%}, mean over classes {found['mean_class']:.1%}"
    )
    console.say(
        f"{found['evaluated']} of {found['clips']} clips could be read; "
        f"counting the others as wrong, top-1 {found['covered_top1']:.1%}"
    )
    console.say(f"wrote {path}")


def _fused(
    config: EvalDownstreamConfig, clips: StoredClips
) -> tuple[Fusion, Callable[[Rows], Inputs]]:
    """Give the trained fusion, and what it takes of these clips."""
    assert config.converters is not None
    assert config.fusion is not None
    converters = checkpoint.load(config.converters, "converters")
    trained = checkpoint.load(config.fusion, "fusion")
    for record, what in ((converters, "converters"), (trained, "fusion")):
        provenance.check_weights(record["provenance"], clips, config.student, what)
    model = Distilled.from_records(converters, trained).to(clips.device)
    classes = len(model.fusion.spec.class_names)
    if config.teachers:
        provenance.check_teachers(model.fusion.spec.teachers, config.teachers, config.fusion)
    if config.classes not in (None, classes):
        raise ConfigError(f"{config.fusion} knows {classes} classes, not {config.classes}")
    class_names(clips, classes)
    for name in config.without:
        if name not in model.fusion.spec.teachers:
            raise UnknownNameError("teacher of this fusion", name, model.fusion.spec.teachers)
    return model.fusion, translated(clips, model.translator)


def _student_alone(
    config: EvalDownstreamConfig, test: StoredClips, types: Precision
) -> Generator[Advance, None, tuple[Fusion, Callable[[Rows], Inputs]]]:
    """Give a classifier on the student's tokens, and what it takes of these clips."""
    if config.student_head is None:
        train = yield from open_clips(
            config, split="train", device=test.device, scratch=config.save_dir / "features"
        )
        return _fitted(config, train, test, types)
    head = load_head(config.student_head, config.student, test).to(test.device)
    class_names(test, len(head.fusion.spec.class_names))
    inputs = seen(test, config.student, head.standardizer)
    return head.fusion, with_itself(inputs) if head.fusion.spec.teachers else inputs


def _fitted(
    config: EvalDownstreamConfig, train: StoredClips, test: StoredClips, types: Precision
) -> tuple[Fusion, Callable[[Rows], Inputs]]:
    """Fit a classifier on the train split."""
    settings = FusionSettings(epochs=config.epochs, batch=config.batch, seed=config.seed)
    rows = train.rows((config.student,))
    division = divide(train, rows, share=settings.hold_out, seed=settings.seed)
    standardizer = fit.standardizer(train, config.student, division.fit).to(train.device)
    names = class_names(train, config.classes or len(train.class_names))
    spec = settings.spec(train.shape(config.student), {}, names)
    with TemporaryDirectory() as folder:
        inputs = recall(seen(train, config.student, standardizer), rows, Path(folder))
        workload = make(spec, inputs, train, division, settings)
        head = best_of(workload, settings, types, train.device)
    return head, seen(test, config.student, standardizer)


def _write(config: EvalDownstreamConfig, clips: StoredClips, rows: Rows, said: Predictions) -> Path:
    """Score what was said, and write it down."""
    rows, logits = rows[:: clips.views], said.over_views(clips.views).logits.numpy()
    labels, there = clips.labels[rows], clips.store.coverage.clips
    first, fifth = (classification.hits(logits, labels, k=k) for k in (1, 5))
    counts = classification.confusion(logits.argmax(1), labels, classes=logits.shape[1])
    record = {
        "what": "student alone" if config.student_only else "fusion",
        "dataset": clips.dataset,
        "split": clips.split,
        "clips": there,
        "views": clips.views,
        "evaluated": len(rows),
        "top1": float(first.mean()),
        "top5": float(fifth.mean()),
        "mean_class": classification.mean_class(counts),
        "covered_top1": classification.covered(first, clips=there),
        "confusion": counts.tolist(),
        "features": clips.fingerprint,
        "config": config.model_dump(mode="json"),
    }
    path = config.save_dir / f"eval_{clips.split}.json"
    text = json.dumps(record, indent=1, allow_nan=False).encode()
    write_atomically(path, lambda file: file.write(text))
    return path


if __name__ == "__main__":
    console.run(EvalDownstreamConfig, main)

"""Train a classifier on one backbone alone: the student that a fusion has to beat, or a probe."""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from polyspace import console, precision
from polyspace.console import Advance
from polyspace.engine import checkpoint
from polyspace.errors import ConfigError
from polyspace.files import sha256_file
from polyspace.models.normalizers import Standardizer
from polyspace.models.restore import restore
from polyspace.models.student import ITSELF, StudentHead
from polyspace.ranks import Ranks, joined
from polyspace.train import fit, fusion_run, provenance
from polyspace.train.batches import Division, divide
from polyspace.train.fusion_run import Outlet
from polyspace.train.fusion_training import FusionSettings, make
from polyspace.train.fusion_workload import FusionWorkload, Inputs, Rows
from polyspace.train.recall import recall
from polyspace.train.sources import (
    SourceSettings,
    StoredClips,
    answer_fp16,
    class_names,
    open_clips,
)


class StudentConfig(FusionSettings, SourceSettings):
    """Which backbone's features are classified, and how the classifier is trained on them."""

    classes: Annotated[int, Field(ge=2)]
    """Number of classes."""
    head_kind: Literal["linear", "self_residual"] = "linear"
    """linear: the classifier of --head on the student's tokens; self_residual: the student is
    joined with itself first, as a teacher would be."""
    split: str = "train"
    """Split to train on."""
    resume_head: Path | None = None
    """Checkpoint of train_student whose weights training starts from."""
    save_dir: Path = Path("checkpoints/student")
    """Where student_ep{N}.pt, student.pt (the best epoch), validation_metrics.csv (what polyspace
    select reads) and an unfinished run's state go."""


def run(config: StudentConfig) -> Generator[Advance, None, Path]:
    """Train; yield every step; return the checkpoint of the epoch that did best on the hold-out.

    Raises:
        StoreError: There are no such features.
        CheckpointError: --resume_head is not a student's head, or one of another shape.
        StoppedError: It was told to stop; run again, it goes on.
        RankError: Another of the processes that train together has ended.
        LabelError: A label lies outside the classes.
    """
    device = precision.device_named(config.device)
    types = config.types()
    clips = yield from open_clips(
        config, split=config.split, device=device, scratch=config.save_dir / "features"
    )
    answer_fp16(config, clips)
    rows = clips.rows((config.student,))
    division = divide(clips, rows, share=config.hold_out, seed=config.seed)
    earlier = _earlier(config, clips)
    standardizer = (
        earlier.standardizer if earlier else fit.standardizer(clips, config.student, division.fit)
    ).to(device)
    made_of = provenance.of_run(config, clips, (config.student,), types)
    standards = standardizer.state_dict()
    record = {"student": config.student, "standardizer": standards, "provenance": made_of}
    outlet = Outlet("student", config.save_dir, record)
    begun_from = sha256_file(config.resume_head) if config.resume_head else ""
    decides = {**made_of, "resume_head": begun_from}
    with joined(device) as ranks, ranks.folder() as folder:
        given = recall(seen(clips, config.student, standardizer), rows, folder, ranks)
        workload = _workload(config, clips, division, given, ranks)
        if earlier:
            restore(workload.model, earlier.fusion.state_dict())
        return (yield from fusion_run.train(workload, config, outlet, decides, types, ranks))


def seen(clips: StoredClips, student: str, standardizer: Standardizer) -> Callable[[Rows], Inputs]:
    """Give what the classifier sees of clips: the student alone."""
    return lambda rows: Inputs(standardizer(clips.tokens(student, rows)), {})


def with_itself(inputs: Callable[[Rows], Inputs]) -> Callable[[Rows], Inputs]:
    """Put the student in a teacher's place, too."""

    def doubled(rows: Rows) -> Inputs:
        base = inputs(rows).student
        return Inputs(base, {ITSELF: base})

    return doubled


def main(config: StudentConfig) -> None:
    """Train, and say what came of it and what comes next."""
    path = console.show(run(config), "train student")
    console.say(fusion_run.outcome(path, "student"))
    console.say(f"wrote {path}")
    console.say(
        f"next: python -m polyspace.train.eval_downstream --student_only --student_head {path} …"
    )


def _workload(
    config: StudentConfig,
    clips: StoredClips,
    division: Division,
    inputs: Callable[[Rows], Inputs],
    ranks: Ranks,
) -> FusionWorkload:
    """Make the untrained head, and the work of training it."""
    shape = clips.shape(config.student)
    doubled = config.head_kind == "self_residual"
    names = class_names(clips, config.classes)
    spec = config.spec(shape, {ITSELF: shape} if doubled else {}, names)
    given = with_itself(inputs) if doubled else inputs
    return make(spec, given, clips, division, config, ranks)


def _earlier(config: StudentConfig, clips: StoredClips) -> StudentHead | None:
    """Load the head that training starts from, if one was given."""
    return load_head(config.resume_head, config.student, clips) if config.resume_head else None


def load_head(path: Path, student: str, clips: StoredClips) -> StudentHead:
    """Load a trained head, and check that it meets the features that it was trained on.

    Raises:
        CheckpointError: There is none, or something else.
        ConfigError: It classifies another backbone's features.
        StoreError: The features are of other weights.
    """
    record = checkpoint.load(path, "student")
    if record["student"] != student:
        raise ConfigError(
            f"{path} is a head of {record['student']}, not of {student}: mend --student, or give "
            f"another checkpoint"
        )
    provenance.check_weights(record["provenance"], clips, student, str(path))
    return StudentHead.from_record(record)


if __name__ == "__main__":
    console.run(StudentConfig, main)

"""Train the fusion head on translated features, from a store or straight from videos."""

from collections.abc import Generator
from pathlib import Path
from typing import Annotated

from pydantic import Field

from polyspace import console, precision
from polyspace.console import Advance
from polyspace.engine import checkpoint
from polyspace.errors import ConfigError
from polyspace.models.converters import Translator
from polyspace.ranks import Ranks, joined
from polyspace.train import fusion_run, provenance
from polyspace.train.batches import divide
from polyspace.train.fusion_run import Outlet
from polyspace.train.fusion_training import FusionSettings, make
from polyspace.train.fusion_workload import FusionWorkload, translated
from polyspace.train.recall import recall
from polyspace.train.sources import (
    SourceSettings,
    StoredClips,
    answer_fp16,
    class_names,
    open_clips,
)


class FusionConfig(FusionSettings, SourceSettings):
    """Where the student's features come from, and how to train the head on them."""

    teachers: Annotated[tuple[str, ...], Field(min_length=1)]
    """Teachers whose translated features are fused, in this order."""
    converters: Path
    """Checkpoint written by train_converter."""
    classes: Annotated[int, Field(ge=2)]
    """Number of classes."""
    split: str = "train"
    """Split to train on."""
    save_dir: Path = Path("checkpoints/fusion")
    """Where fusion_ep{N}.pt, fusion.pt (the best epoch), validation_metrics.csv (what polyspace
    select reads) and an unfinished run's state go."""


def run(config: FusionConfig) -> Generator[Advance, None, Path]:
    """Train; yield every step; return the checkpoint of the epoch that did best on the hold-out.

    Raises:
        CheckpointError: The converters are not there, or not converters.
        StoreError: There are no such features, or the converters were trained on other ones.
        StoppedError: It was told to stop; run again, it goes on.
        RankError: Another of the processes that train together has ended.
        LabelError: A label lies outside the classes.
    """
    device = precision.device_named(config.device)
    types = config.types()
    trained = checkpoint.load(config.converters, "converters")
    translator = Translator.from_record(trained).only(config.teachers)
    if config.student != translator.student_name:
        raise ConfigError(
            f"{config.converters} translates from {translator.student_name}, not from "
            f"{config.student}: mend --student, or train converters for it"
        )
    clips = yield from open_clips(
        config, split=config.split, device=device, scratch=config.save_dir / "features"
    )
    answer_fp16(config, clips)
    provenance.check_weights(trained["provenance"], clips, config.student, "converters")
    made_of = provenance.of_run(config, clips, (config.student,), types)
    record = {"converters": translator.fingerprint(), "provenance": made_of}
    outlet = Outlet("fusion", config.save_dir, record)
    decides = {**made_of, "converters": record["converters"]}
    with joined(device) as ranks, ranks.folder() as folder:
        workload = _workload(translator.to(device), clips, config, folder, ranks)
        return (yield from fusion_run.train(workload, config, outlet, decides, types, ranks))


def main(config: FusionConfig) -> None:
    """Train, and say what came of it and what comes next."""
    path = console.show(run(config), "train fusion")
    console.say(fusion_run.outcome(path, "fusion"))
    console.say(f"wrote {path}")
    console.say(f"next: python -m polyspace.train.eval_downstream --fusion {path} …")


def _workload(
    translator: Translator,
    clips: StoredClips,
    config: FusionConfig,
    folder: Path,
    ranks: Ranks,
) -> FusionWorkload:
    """Make the fusion, and translate every clip once, into files in `folder`."""
    spec = config.spec(
        clips.shape(config.student),
        {name: spec.target for name, spec in translator.specs.items()},
        class_names(clips, config.classes),
    )
    rows = clips.rows((config.student,))
    division = divide(clips, rows, share=config.hold_out, seed=config.seed)
    inputs = recall(translated(clips, translator), rows, folder, ranks)
    return make(spec, inputs, clips, division, config, ranks)


if __name__ == "__main__":
    console.run(FusionConfig, main)

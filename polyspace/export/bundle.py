"""Bundles: a trained model in a smaller form, all that is needed to run it, and the proof.

What lies in one stands in `polyspace.export.contents`. It appears whole, and only if the proof
holds; otherwise nothing is left, and what was there before stays.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal, get_args

import tyro
from pydantic import Field

from polyspace import console
from polyspace.config import Config
from polyspace.data import featurize
from polyspace.errors import ExportError
from polyspace.export import card, contents, folders, outcome, source
from polyspace.export.assembly import REFERENCES, assemble
from polyspace.export.command import command
from polyspace.export.contents import PROOF
from polyspace.export.formats import kinds
from polyspace.export.formats.kinds import Entry, FormatName, Subject
from polyspace.export.proof.prove import Pair, prove
from polyspace.export.proof.terms import Terms
from polyspace.export.proof.thresholds import decide
from polyspace.export.source import CPU, Source
from polyspace.precision import DeviceName, device_named
from polyspace.progress import Progress
from polyspace.report.exports import proof as page
from polyspace.train.sources import StoredClips

EVERYWHERE: tuple[FormatName, ...] = tuple(
    name for name in get_args(FormatName) if kinds.MODULES[name] not in ("inductor", "torchao")
)
"""Formats that need neither a compiler nor a package that only they need."""

TRACED = 2
"""Training clips that a format without calibration is given: as many as a graph is traced over."""


class ExportSettings(Config):
    """In which forms a model leaves, and how far they may differ from it."""

    formats: Annotated[tuple[FormatName, ...], Field(min_length=1)] = ("fp16",)
    """One or several; each goes into a folder of its name."""
    entry: Entry = "tokens"
    """What the exported model takes: the student's tokens, or the pictures that it is fed."""
    weights: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """NAME=FOLDER, where the student's weights lie, if not where the store says; for pictures."""
    license: Annotated[str, Field(pattern=r"^[A-Za-z0-9.+-]+$")] | None = None
    """Licence that the trained model is put under, by its SPDX identifier, for the model card."""
    keep_float32: tuple[str, ...] = ()
    """Modules, by the start of their names, whose weights stay float32."""
    calibration_clips: Annotated[int, Field(ge=1)] = 256
    """Training clips at most that onnx_int8_static measures activations on."""
    threshold_points: Annotated[float, Field(ge=0)] | None = None
    """Largest difference in top-1 accuracy, in points, that is still published; None: the format's
    own (0 for fp32, 0.5 for those of int8, 0.1 for the others)."""
    threshold_agreement: Annotated[float, Field(ge=0, le=1)] | None = None
    """Smallest share of clips with the same class that is still published; None: the format's own
    (1 for fp32, any for the others)."""
    threshold_kl: Annotated[float, Field(ge=0)] | None = None
    """Largest mean divergence of the chances, in nats, that is still published; None: any."""
    measure: bool = True
    """Measure time and memory, too; without, the proof is of agreement alone."""
    device: DeviceName = "auto"
    """Where source and export are compared and timed."""
    refused: Literal["fail", "report"] = "fail"
    """Where a format fails its proof: end with an error once the others are done, or say so."""


class ExportConfig(ExportSettings):
    """Export trained models, and publish what still agrees with them."""

    converters: Path
    """Checkpoint written by train_converter."""
    fusion: Path
    """Checkpoint written by train_fusion."""
    features: Path
    """Folder of the feature stores: the split that the proof is made on, and train."""
    dataset: str | None = None
    """Data set; needed only where the folder holds the stores of several."""
    split: str = "test"
    """Split of the held-out clips."""
    root: Path | None = None
    """Folder of the videos, for pictures: to calibrate and to compare with."""
    evaluation: Path | None = None
    """Folder that polyspace.train.evaluate wrote, for the model card."""
    out: Path = Path("bundles")
    """Folder of the bundles, one folder a format."""

    def folder(self, name: FormatName) -> Path:
        """Say where a format goes."""
        return self.out / name


def run(config: ExportConfig, name: FormatName) -> Generator[Progress, None, Path]:
    """Export in one format, reload in a fresh process, compare, and only then publish.

    Raises:
        CheckpointError: Converters or fusion are missing, or something else.
        ExportError: A weight doesn't fit the type, or the export disagrees with its source;
            nothing is published.
        RecordError: The evaluation is missing, or of another version.
    """
    card.quoted(config.evaluation)  # refused before the work, not after it
    yield Progress(0, 3, f"{name}: writing")
    out = config.folder(name)
    with folders.publishing(out, contents.SUMS) as partial:
        yield from _make(config, name, partial)
        contents.seal(partial)
        yield Progress(2, 3, f"{name}: publishing")
    yield Progress(3, 3, f"{name}: the same answers")
    return out


def main(config: ExportConfig) -> None:
    """Export in every format, and say how small and how true each came out."""
    refused: dict[str, str] = {}
    for name in config.formats:
        try:
            console.say(outcome.in_words(console.show(run(config, name), name)))
        except ExportError as error:
            refused[name] = str(error)
    fails = config.refused == "fail"
    if outcome.write(config.out, refused, fails=fails):
        outcome.show(config.out)
    outcome.conclude(refused, fails=fails)


def again(config: ExportConfig, name: FormatName) -> str:
    """Write the command that makes one bundle again."""
    return command("polyspace.export.bundle", config.model_copy(update={"formats": (name,)}))


def _make(config: ExportConfig, name: FormatName, folder: Path) -> Generator[Progress]:
    """Write a bundle and prove it."""
    given = dict(featurize.named_folder(entry) for entry in config.weights)
    made = Source.read(config.converters, config.fusion, given)
    training, held_out = _clips(config, "train"), _clips(config, config.split)
    subject = source.subject(
        made,
        config.entry,
        training,
        count=config.calibration_clips if name in kinds.CALIBRATED else TRACED,
        keep=config.keep_float32,
        root=config.root if name in kinds.CALIBRATED else None,
    )
    student = source.student_record(held_out, made.student)
    sizes = assemble(name, subject, made, student, folder)
    yield Progress(1, 3, f"{name}: comparing in a fresh process")
    beside = _reference(name, subject, made, student, folder)
    with beside if config.measure else nullcontext(folder) as reference:
        pair = Pair(folder, reference, **asdict(sizes))
        found = prove(pair, made, held_out, _terms(config, name))
    contents.write_json(folder / PROOF, found.record())
    page.write(folder)
    card.write(folder, config.evaluation, config.license)


@contextmanager
def _reference(
    name: FormatName, subject: Subject, made: Source, student: Mapping[str, Any], folder: Path
) -> Generator[Path]:
    """Give the bundle that another one is timed beside; it may be that one itself."""
    kind = REFERENCES[subject.entry]
    if name == kind and not subject.keep_float32:
        yield folder
        return
    with TemporaryDirectory(prefix="polyspace-reference-") as scratch:
        reference = Path(scratch) / kind
        assemble(kind, subject, made, student, reference)
        yield reference


def _terms(config: ExportConfig, name: FormatName) -> Terms:
    thresholds = decide(
        name,
        points=config.threshold_points,
        agreement=config.threshold_agreement,
        mean_kl=config.threshold_kl,
    )
    return Terms(
        name,
        config.entry,
        thresholds,
        device_named(config.device),
        measure=config.measure,
        root=config.root,
        command=again(config, name),
    )


def _clips(config: ExportConfig, split: str) -> StoredClips:
    return StoredClips.find(config.features, dataset=config.dataset, split=split, device=CPU)


if __name__ == "__main__":
    console.run(ExportConfig, main)

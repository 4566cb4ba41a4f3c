"""Bundles: a trained model in a smaller form, all that is needed to run it, and the proof.

What lies in one stands in `polyspace.export.contents`. It appears whole, and only if the proof
holds; otherwise nothing is left, and what was there before stays.
"""

import json
import shutil
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from safetensors.torch import save

from polyspace import console
from polyspace.config import Config
from polyspace.errors import ExportError
from polyspace.export import contents, proof, source
from polyspace.export.contents import CONFIG, PROOF
from polyspace.export.formats import kinds
from polyspace.export.formats.kinds import Entry, FormatName
from polyspace.export.source import CPU, Source
from polyspace.export.stored import quantization_info
from polyspace.progress import Progress
from polyspace.train.sources import StoredClips

EVERYWHERE: tuple[FormatName, ...] = (
    "fp32",
    "fp16",
    "bf16",
    "mixed",
    "int8",
    "onnx",
    "onnx_int8",
    "onnx_int8_static",
    "pt2",
)
"""Formats that need neither a compiler nor a package that only they need."""


class ExportSettings(Config):
    """In which forms a model leaves, and how far they may differ from it."""

    formats: Annotated[tuple[FormatName, ...], Field(min_length=1)] = ("fp16",)
    """One or several; each goes into a folder of its name."""
    entry: Entry = "tokens"
    """What the exported model takes: the student's tokens, or the pictures that it is fed."""
    keep_float32: tuple[str, ...] = ()
    """Modules, by the start of their names, whose weights stay float32."""
    calibration_clips: Annotated[int, Field(ge=1)] = 256
    """Training clips at most that onnx_int8_static measures activations on."""
    threshold_points: Annotated[float, Field(ge=0)] = 0.5
    """Largest difference in top-1 accuracy, in points, that is still published."""
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
    """
    yield Progress(0, 3, f"{name}: writing")
    out = config.folder(name)
    contents.recover(out)
    contents.refuse_other(out)
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        yield from _make(config, name, partial)
        contents.seal(partial)
        yield Progress(2, 3, f"{name}: publishing")
        contents.publish(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    yield Progress(3, 3, f"{name}: the same answers")
    return out


def main(config: ExportConfig) -> None:
    """Export in every format, and say how small and how true each came out."""
    refused: list[str] = []
    for name in config.formats:
        try:
            console.say(in_words(console.show(run(config, name), name)))
        except ExportError as error:
            refused.append(f"{name}: {error}")
    if refused and config.refused == "fail":
        raise ExportError("; ".join(refused))
    for line in refused:
        console.say(f"refused: {line}")


def in_words(folder: Path) -> str:
    """Say how small and how true a bundle came out."""
    found = json.loads((folder / PROOF).read_text())
    return (
        f"{folder}: {found['bytes']:,} bytes, {found['ratio']:.3f} of float32; top-1 "
        f"{found['top1_source']:.1%} before, {found['top1_export']:.1%} after on {found['clips']} "
        f"held-out clips; {found['agreement']:.1%} of the answers are the same"
    )


def _make(config: ExportConfig, name: FormatName, folder: Path) -> Generator[Progress]:
    """Write a bundle and prove it."""
    made = Source.read(config.converters, config.fusion)
    training = _clips(config, "train")
    subject = source.subject(
        made, config.entry, training, count=config.calibration_clips, keep=config.keep_float32
    )
    folder.mkdir(parents=True)
    stored = kinds.of(name).write(name, subject, folder)
    sizes = {
        "bytes": contents.size(folder, stored.files),
        "float32_bytes": len(save(dict(made.model.state_dict()))),
    }
    info = quantization_info(
        stored,
        size=sizes["bytes"],
        float32_size=sizes["float32_bytes"],
        sources=made.digests,
        keep_float32=config.keep_float32,
    )
    contents.write_json(
        folder / CONFIG,
        {
            "format": contents.FORMAT,
            "kind": name,
            "entry": config.entry,
            "model": made.model.specs(),
            "class_names": list(made.model.fusion.spec.class_names),
            "student": source.student_record(training, made.student),
            "quantization_info": info,
            "provenance": made.provenance,
        },
    )
    yield Progress(1, 3, f"{name}: comparing in a fresh process")
    found = proof.prove(
        folder, made.model, _clips(config, config.split), threshold_points=config.threshold_points
    )
    ratio = sizes["bytes"] / sizes["float32_bytes"]
    contents.write_json(folder / PROOF, {"kind": name, **sizes, "ratio": ratio, **asdict(found)})


def _clips(config: ExportConfig, split: str) -> StoredClips:
    return StoredClips.find(config.features, dataset=config.dataset, split=split, device=CPU)


if __name__ == "__main__":
    console.run(ExportConfig, main)

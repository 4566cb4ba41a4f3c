"""Bundles: a model's weights in a smaller type, all that is needed to run them, and the proof.

A bundle is a folder that holds ``model.safetensors``, ``config.json`` (architecture, classes,
``quantization_info``, provenance, the weights' sha256) and ``proof.json`` (how it compared with
its source). It appears whole, and only if the proof holds.
"""

import json
import shutil
from collections.abc import Generator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from safetensors.torch import load_file, save

from polyspace import console
from polyspace.config import Config
from polyspace.engine import checkpoint
from polyspace.errors import CheckpointError
from polyspace.export import proof
from polyspace.export.cast import cast, describe
from polyspace.files import sha256_file, write_atomically
from polyspace.models.fusion import Distilled
from polyspace.models.restore import restore
from polyspace.precision import StorageType, to_compute
from polyspace.progress import Progress
from polyspace.store.reader import FeatureStore, find_store

FORMAT = 1


class ExportConfig(Config):
    """What to export, and how far it may differ from its source."""

    converters: Path
    """Checkpoint written by train_converter."""
    fusion: Path
    """Checkpoint written by train_fusion."""
    features: Path
    """Feature store of held-out clips that the proof is made on, or the folder that holds it."""
    dataset: str | None = None
    """Data set; needed only where the folder holds the stores of several."""
    split: str = "test"
    """Split of the held-out clips."""
    out: Path = Path("bundle")
    """Folder of the bundle: model.safetensors, config.json, proof.json."""
    dtype: StorageType = "float16"
    """Type that the weights are stored in."""
    threshold_points: Annotated[float, Field(ge=0)] = 0.5
    """Largest difference in top-1 accuracy, in points, that is still published."""


def run(config: ExportConfig) -> Generator[Progress, None, Path]:
    """Export, reload in a fresh process, compare with the source, and only then publish.

    Raises:
        CheckpointError: Converters or fusion are missing, or something else.
        ExportError: A weight doesn't fit the type, or the export disagrees with its source;
            nothing is published.
    """
    yield Progress(0, 3, "casting")
    converters = checkpoint.load(config.converters, "converters")
    fusion = checkpoint.load(config.fusion, "fusion")
    source = Distilled.from_records(converters, fusion)
    store = FeatureStore.open(find_store(config.features, config.dataset, config.split))
    partial = config.out.with_name(f"{config.out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    _write(partial, source, {"converters": converters, "fusion": fusion}, config.dtype)
    yield Progress(1, 3, "comparing with a fresh process")
    evidence = proof.prove(partial, source, store, threshold_points=config.threshold_points)
    float32_bytes = len(save(cast(source, "float32")))
    size = (partial / "model.safetensors").stat().st_size
    sizes = {"float32_bytes": float32_bytes, "bytes": size, "ratio": size / float32_bytes}
    info = read_config(partial)["quantization_info"]
    _write_json(
        partial / "proof.json",
        {"dtype": config.dtype, **sizes, **asdict(evidence), "quantization_info": info},
    )
    yield Progress(2, 3, "publishing")
    _publish(partial, config.out)
    yield Progress(3, 3, "the same answers")
    return config.out


def load(folder: Path) -> Distilled:
    """Load a bundle for inference: weights as float32, whatever type they are stored in.

    Raises:
        CheckpointError: The folder is no bundle, or its weights are not the ones that were written.
    """
    config, weights = read_config(folder), folder / "model.safetensors"
    if not weights.is_file() or sha256_file(weights) != config["sha256"]:
        raise CheckpointError(
            f"{weights} is missing, or not the file that was exported: export the bundle again"
        )
    model = Distilled.from_specs(config["model"])
    cpu = torch.device("cpu")
    state = {name: to_compute(values, cpu) for name, values in load_file(weights).items()}
    return restore(model, state).eval()


def read_config(folder: Path) -> dict[str, Any]:
    """Read a bundle's config.json.

    Raises:
        CheckpointError: There is none.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise CheckpointError(f"{folder} is not a bundle: it has no config.json")
    return json.loads(path.read_text())


def main(config: ExportConfig) -> None:
    """Export, and say how small and how true it came out."""
    folder = console.show(run(config), "export")
    found = json.loads((folder / "proof.json").read_text())
    console.say(
        f"{folder}: {found['bytes']:,} bytes, {found['ratio']:.3f} of float32; top-1 "
        f"{found['top1_source']:.1%} before, {found['top1_export']:.1%} after on {found['clips']} "
        f"held-out clips; {found['agreement']:.1%} of the answers are the same"
    )


def _write(
    folder: Path, source: Distilled, trained: Mapping[str, Mapping[str, Any]], dtype: StorageType
) -> None:
    """Write weights and configuration, weights first: the configuration holds their digest."""
    state = cast(source, dtype)
    weights = folder / "model.safetensors"
    write_atomically(weights, lambda file: file.write(save(state, {"format": "pt"})))
    config = {
        "format": FORMAT,
        "model": source.specs(),
        "class_names": list(source.fusion.spec.class_names),
        "quantization_info": asdict(describe(state, dtype)),
        "sha256": sha256_file(weights),
        "provenance": {name: record["provenance"] for name, record in trained.items()},
    }
    _write_json(folder / "config.json", config)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, indent=1, allow_nan=False).encode()
    write_atomically(path, lambda file: file.write(text))


def _publish(partial: Path, out: Path) -> None:
    """Put the finished folder in the place of the old one."""
    old = out.with_name(f"{out.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    partial.rename(out)
    shutil.rmtree(old, ignore_errors=True)


if __name__ == "__main__":
    console.run(ExportConfig, main)

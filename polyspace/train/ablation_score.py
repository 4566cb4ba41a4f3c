"""One trained model on the test split: what it says of every clip, kept."""

import json
import platform
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from jaxtyping import Float32, Int64
from numpy import ndarray
from pydantic import Field

from polyspace import precision
from polyspace.config import Config
from polyspace.engine import checkpoint
from polyspace.errors import ConfigError
from polyspace.files import write_atomically
from polyspace.metrics import classification
from polyspace.models.fusion import Distilled, Fusion
from polyspace.precision import DeviceName
from polyspace.progress import Progress
from polyspace.train import provenance
from polyspace.train.contenders import parameters
from polyspace.train.fusion_workload import Inputs, Rows, predict, translated
from polyspace.train.sources import StoredClips, class_names
from polyspace.train.train_student import load_head, seen

RECORD, CLIPS = "scored.json", "clips.npz"


class ScoreConfig(Config):
    """Score one model of an ablation on the test split, once."""

    features: Path
    """Folder that holds the feature store."""
    dataset: str
    """Data set."""
    split: str
    """Split to score on."""
    student: str
    """Backbone whose features are translated, or classified alone."""
    converters: Path | None = None
    """Checkpoint written by train_converter; None: the student alone."""
    head: Path
    """Checkpoint written by train_fusion, or train_student."""
    without: tuple[str, ...] = ()
    """Teachers whose translations are hidden."""
    views: Annotated[int, Field(ge=1)] | None = None
    """Views of each clip that are averaged over, the first ones; all, unless given."""
    batch: Annotated[int, Field(ge=1)] = 32
    """Clips at a time."""
    device: DeviceName = "auto"
    """Where to compute, in float32."""
    out: Path
    """Folder for scored.json and clips.npz."""


def run(config: ScoreConfig) -> Generator[Progress, None, Path]:
    """Score; write what was said of every clip, and the record; return the record.

    Raises:
        StoreError: There are no such features, or of other weights than were trained on.
        CheckpointError: The model is missing, or something else.
        LabelError: A label lies outside the classes.
    """
    yield Progress(0, 1, config.head.stem)
    device = precision.device_named(config.device)
    clips = StoredClips.find(
        config.features, dataset=config.dataset, split=config.split, device=device
    )
    fusion, inputs, count = _opened(config, clips)
    class_names(clips, len(fusion.spec.class_names))
    rows = first_views(clips.rows((config.student,)), clips.views, config.views)
    said = predict(fusion, inputs, rows, batch=config.batch, without=config.without)
    views = config.views or clips.views
    _write(config, clips, rows[::views], said.over_views(views).logits.numpy(), count)
    yield Progress(1, 1, config.head.stem)
    return config.out / RECORD


def first_views(
    rows: Int64[ndarray, " row"], views: int, wanted: int | None
) -> Int64[ndarray, " kept"]:
    """Keep the rows of each clip's first views.

    Args:
        rows: Of whole clips, all views of one beside each other.
        views: Of each clip.
        wanted: How many of them; all, if None.

    Raises:
        ConfigError: There are fewer.
    """
    if wanted is not None and wanted > views:
        raise ConfigError(f"{wanted} views, but the store has {views} of each clip")
    return rows.reshape(-1, views)[:, :wanted].reshape(-1)


def _opened(
    config: ScoreConfig, clips: StoredClips
) -> tuple[Fusion, Callable[[Rows], Inputs], int]:
    """Give the classifier, what it takes of clips, and the parameters of the whole model."""
    if config.converters is None:
        head = load_head(config.head, config.student, clips).to(clips.device)
        return head.fusion, seen(clips, config.student, head.standardizer), parameters(head)
    converters = checkpoint.load(config.converters, "converters")
    fusion = checkpoint.load(config.head, "fusion")
    for record, what in ((converters, "converters"), (fusion, "fusion")):
        provenance.check_weights(record["provenance"], clips, config.student, what)
    model = Distilled.from_records(converters, fusion).to(clips.device)
    return model.fusion, translated(clips, model.translator), parameters(model)


def _write(
    config: ScoreConfig,
    clips: StoredClips,
    rows: Rows,
    logits: Float32[ndarray, "clip label"],
    count: int,
) -> None:
    labels = clips.labels[rows]
    arrays = {
        "ids": np.array([clips.ids[row] for row in rows]),
        "groups": np.array([clips.groups[row] for row in rows]),
        "labels": labels,
        "logits": logits,
    }
    record: dict[str, Any] = {
        "top1": float(classification.hits(logits, labels).mean()),
        "parameters": count,
        "clips": clips.store.coverage.clips,
        "evaluated": len(rows),
        "features": clips.fingerprint,
        "device": _device(clips.device),
        "config": config.model_dump(mode="json"),
    }
    write_atomically(config.out / CLIPS, lambda file: np.savez(file, allow_pickle=False, **arrays))
    text = json.dumps(record, indent=1, allow_nan=False).encode()
    write_atomically(config.out / RECORD, lambda file: file.write(text))


def _device(device: torch.device) -> str:
    """Name the processor that computed."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.machine()}), {torch.get_num_threads()} threads"

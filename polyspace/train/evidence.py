"""The record of an evaluation: every figure with its interval, and everything that it rests on."""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64
from numpy import ndarray

from polyspace.files import write_atomically
from polyspace.metrics import calibration, classification
from polyspace.metrics.intervals import bootstrap, mcnemar
from polyspace.models.converters import Translator
from polyspace.models.fusion import Fusion
from polyspace.models.heads.pooled import pool
from polyspace.train import fit
from polyspace.train.batches import Division, in_order
from polyspace.train.contenders import Kind
from polyspace.train.fusion_training import FusionSettings
from polyspace.train.fusion_workload import Predictions, Rows
from polyspace.train.sources import StoredClips

SCHEMA = 1
PACKAGES = ("polyspace", "torch", "transformers", "zarr", "av", "numpy", "scikit-learn")


@dataclass(frozen=True, eq=False)
class Subject:
    """What is evaluated, and the clips that it is evaluated with."""

    translator: Translator
    fusion: Fusion
    fitted: Division
    """The training rows that the converters were fitted on, and those that selected."""
    settings: FusionSettings
    """How the fusion was trained, and so how everything beside it is."""
    train: StoredClips
    test: StoredClips
    rows: Rows
    """Rows of the test split that every backbone has seen."""

    @property
    def clips(self) -> Rows:
        """The first view of each clip among them."""
        return self.rows[:: self.test.views]

    @property
    def backbones(self) -> tuple[str, ...]:
        """Student and teachers."""
        return (self.translator.student_name, *self.translator.specs)


@dataclass(frozen=True, eq=False)
class Scored:
    """A row of the table, and what it said of the test clips."""

    name: str
    kind: Kind
    words: str
    parameters: int
    said: Predictions


def record(
    subject: Subject, scored: Sequence[Scored], *, command: str, resamples: int, seed: int
) -> dict[str, Any]:
    """Put together everything but the translations' quality; the fusion comes first in `scored`."""
    test, train = subject.test, subject.train
    labels = test.labels[subject.clips]
    names = subject.fusion.spec.class_names
    coverage = test.store.coverage
    return {
        "schema": SCHEMA,
        "command": command,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": _device(test.device),
        "versions": {"python": platform.python_version(), **{n: version(n) for n in PACKAGES}},
        "seed": seed,
        "dataset": {
            "name": test.dataset,
            "split": test.split,
            "class_names": list(names),
            "clips": len(subject.clips),
            "groups": len(set(_groups(subject))),
            "shared_groups": len(set(_groups(subject)) & set(train.groups)),
            "fingerprint": test.fingerprint,
            "train_fingerprint": train.fingerprint,
        },
        "chance": 1 / len(names),
        "majority": classification.majority(train.labels, labels),
        "coverage": {
            "clips": coverage.clips,
            "evaluated": len(subject.clips),
            "share": len(subject.clips) / coverage.clips,
            "quarantined": dict(coverage.quarantined),
        },
        "random_weights": [name for name in subject.backbones if test.weights(name)["random"]],
        "student": subject.translator.student_name,
        "teachers": list(subject.translator.specs),
        "trunk": subject.translator.width,
        "methods": [_method(row, subject, resamples, seed) for row in scored],
        "comparison": _comparison(scored, subject, resamples, seed),
        "gates": _gates(scored[0].said, labels, len(names)),
        "views": test.views,
        "interval": f"95 %, bootstrap over groups, {resamples} resamples",
    }


def write(
    folder: Path, content: Mapping[str, Any], subject: Subject, scored: Sequence[Scored]
) -> Path:
    """Write evaluation.json, and beside it what pictures are drawn from."""
    labels = subject.test.labels[subject.clips]
    ids = np.array([subject.test.ids[row] for row in subject.clips])
    logits = {f"logits/{row.name}": row.said.logits.numpy() for row in scored}
    groups = np.array(_groups(subject))
    _write_arrays(
        folder / "predictions.npz", {"ids": ids, "groups": groups, "labels": labels, **logits}
    )
    _write_arrays(folder / "vectors.npz", {"labels": labels, **_vectors(subject)})
    text = json.dumps(content, indent=1, allow_nan=False).encode()
    write_atomically(folder / "evaluation.json", lambda file: file.write(text))
    return folder / "evaluation.json"


def read(path: Path) -> dict[str, Any]:
    """Read a record back."""
    return json.loads(path.read_text())


def _method(row: Scored, subject: Subject, resamples: int, seed: int) -> dict[str, Any]:
    """Score one method in every way."""
    labels = subject.test.labels[subject.clips]
    logits = row.said.logits.numpy()
    first, fifth = (_hits(row, subject, k) for k in (1, 5))
    counts = classification.confusion(logits.argmax(1), labels, classes=logits.shape[1])
    chances = calibration.softmax(logits)
    return {
        "name": row.name,
        "kind": row.kind,
        "words": row.words,
        "parameters": row.parameters,
        "top1": _interval(first, subject, resamples, seed),
        "top5": _interval(fifth, subject, resamples, seed),
        "mean_class": classification.mean_class(counts),
        "covered_top1": classification.covered(first, clips=subject.test.store.coverage.clips),
        "per_class": [
            None if np.isnan(share) else float(share) for share in classification.per_class(counts)
        ],
        "confusion": counts.tolist(),
        "ece": calibration.expected_error(chances.max(axis=1), logits.argmax(1) == labels),
    }


def _comparison(
    scored: Sequence[Scored], subject: Subject, resamples: int, seed: int
) -> dict[str, Any]:
    """Compare the fusion with the student alone, clip by clip."""
    fusion = _hits(scored[0], subject, 1)
    student = _hits(next(row for row in scored if row.name == "student"), subject, 1)
    difference = fusion.astype(np.float64) - student
    return {
        "method": "fusion",
        "baseline": "student",
        "difference": _interval(difference, subject, resamples, seed),
        "mcnemar_p": mcnemar(fusion, student),
    }


def _interval(
    values: Bool[ndarray, " clip"] | Float64[ndarray, " clip"],
    subject: Subject,
    resamples: int,
    seed: int,
) -> dict[str, float]:
    random = np.random.default_rng(seed)
    wide = values.astype(np.float64)
    return asdict(bootstrap(wide, _groups(subject), resamples=resamples, random=random))


def _hits(row: Scored, subject: Subject, k: int) -> Bool[ndarray, " clip"]:
    return classification.hits(row.said.logits.numpy(), subject.test.labels[subject.clips], k=k)


def _groups(subject: Subject) -> tuple[str, ...]:
    return tuple(subject.test.groups[row] for row in subject.clips)


def _gates(said: Predictions, labels: Rows, classes: int) -> dict[str, Any]:
    """Average each teacher's gate over everything, over time, and over classes."""
    return {
        teacher: {
            "mean": float(gate.mean()),
            "per_time": gate.mean(dim=(0, 2)).tolist(),
            "per_class": [
                float(gate[labels == label].mean()) if (labels == label).any() else None
                for label in range(classes)
            ],
        }
        for teacher, gate in said.gates.items()
    }


@torch.no_grad()
def _vectors(subject: Subject) -> dict[str, ndarray]:
    """Pool test tokens to a vector a clip: before, after, and what it should have become."""
    parts: dict[str, list[ndarray]] = {}
    for rows in in_order(subject.clips, fit.BATCH):
        tokens = subject.test.tokens(subject.translator.student_name, rows)
        student = subject.translator.student(tokens)
        parts.setdefault("student", []).append(pool(student).cpu().numpy())
        for teacher, said in subject.translator(student).items():
            true = fit.target(subject.translator[teacher], subject.test, teacher, rows)
            parts.setdefault(f"translated/{teacher}", []).append(pool(said).cpu().numpy())
            parts.setdefault(f"true/{teacher}", []).append(pool(true).cpu().numpy())
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def _write_arrays(path: Path, arrays: Mapping[str, ndarray]) -> None:
    write_atomically(path, lambda file: np.savez(file, allow_pickle=False, **arrays))


def _device(device: torch.device) -> str:
    """Name the processor that computed."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.machine()}), {torch.get_num_threads()} threads"

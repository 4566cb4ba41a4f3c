"""Small records of every stage, consistent in themselves, as a finished run would leave them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

TEACHERS = ("motion_vectors", "efficientnet_lite0")
SKILLS = {
    "fusion": ("method", 0.72),
    "student": ("baseline", 0.62),
    "mean_predictor": ("baseline", 0.6),
    "equal_parameters": ("control", 0.64),
    "untrained_converters": ("control", 0.61),
    "translated:motion_vectors": ("baseline", 0.58),
    "teacher:motion_vectors": ("upper bound", 0.8),
    "teacher:efficientnet_lite0": ("upper bound", 0.2),
    "true_teachers": ("upper bound", 0.86),
}
"""Kind and chance of being right of every method."""


@dataclass(frozen=True)
class Records:
    """Where everything lies that a report is made from."""

    evaluation: Path
    converter_curves: Path
    fusion_curves: Path
    proof: Path


def write_records(
    folder: Path, *, names: tuple[str, ...] = ("left", "right", "still"), clips: int = 24, **changes
) -> Records:
    """Write the records of all stages.

    Args:
        folder: Where to.
        names: Names of the classes.
        clips: Clips of the test split, as evenly over the classes as they go.
        changes: Entries of the evaluation that are to be other ones.
    """
    random = np.random.default_rng(0)
    labels = np.arange(clips) % len(names)
    folder.mkdir(parents=True, exist_ok=True)
    _write_vectors(folder / "vectors.npz", labels, len(names), random)
    return Records(
        _write(folder / "evaluation.json", evaluation(labels, names, random) | changes),
        _write(folder / "converters.json", {"epochs": _converter_epochs()}),
        _write(folder / "fusion.json", {"epochs": _fusion_epochs()}),
        _write(folder / "proof.json", PROOF),
    )


def evaluation(labels: ndarray, names: tuple[str, ...], random: np.random.Generator) -> dict:
    """Give the content of evaluation.json."""
    return {
        "schema": 1,
        "command": "python -m polyspace.train.evaluate --dataset motion",
        "created": "2026-11-21T05:00:00+00:00",
        "device": "cpu",
        "versions": {"polyspace": "0.1.0", "torch": "2.13.0"},
        "seed": 0,
        "seconds": 41.5,
        "dataset": {
            "name": "motion",
            "split": "test",
            "class_names": list(names),
            "clips": len(labels) + 1,
            "groups": 8,
            "shared_groups": 0,
            "fingerprint": "ab" * 32,
            "train_fingerprint": "cd" * 32,
        },
        "chance": 1 / len(names),
        "majority": 1 / len(names),
        "coverage": {
            "clips": len(labels) + 1,
            "evaluated": len(labels),
            "share": len(labels) / (len(labels) + 1),
            "quarantined": {
                "left/broken-0.mp4": "no-video: left/broken-0.mp4: has no video stream"
            },
        },
        "random_weights": [],
        "student": "transnetv2",
        "teachers": list(TEACHERS),
        "methods": [
            _method(name, kind, skill, labels, len(names), random)
            for name, (kind, skill) in SKILLS.items()
        ],
        "comparison": {
            "method": "fusion",
            "baseline": "student",
            "difference": {"value": 0.1, "low": 0.03, "high": 0.17},
            "mcnemar_p": 0.012,
        },
        "translation": {
            teacher: {
                "mean": {"r2": -0.01, "cosine": 0.48, "centred_cosine": 0.0, "r2_own": -0.02},
                "procrustes": {"r2": 0.21, "cosine": 0.66, "centred_cosine": 0.5, "r2_own": 0.2},
                "ridge": {"r2": 0.39, "cosine": 0.74, "centred_cosine": 0.62, "r2_own": 0.4},
                "residual-mlp": {"r2": 0.47, "cosine": 0.79, "centred_cosine": 0.7, "r2_own": 0.5},
            }
            for teacher in TEACHERS
        },
        "gates": {
            teacher: {
                "mean": mean,
                "per_time": (mean + 0.1 * np.sin(np.arange(8))).tolist(),
                "per_class": np.clip(random.normal(mean, 0.1, len(names)), 0, 1).tolist(),
            }
            for teacher, mean in zip(TEACHERS, (0.62, 0.18), strict=True)
        },
        "interval": "95 %, bootstrap over groups, 2000 resamples",
    }


PROOF = {
    "dtype": "float16",
    "float32_bytes": 7_600_000,
    "bytes": 3_812_000,
    "ratio": 0.5016,
    "clips": 24,
    "top1_source": 0.72,
    "top1_export": 0.72,
    "difference_points": 0.0,
    "agreement": 1.0,
    "max_abs_logit": 0.0031,
    "threshold_points": 0.5,
    "quantization_info": {"dtype": "float16", "kept_float32": ["student.mean", "student.std"]},
}

SIZES = {
    "motion_train.zarr / transnetv2": 61_000_000,
    "motion_train.zarr / motion_vectors": 9_400_000,
    "motion_test.zarr / transnetv2": 20_100_000,
    "motion_test.zarr / motion_vectors": 3_100_000,
}


def _method(
    name: str, kind: str, skill: float, labels: ndarray, classes: int, random: np.random.Generator
) -> dict[str, Any]:
    """Be right as often as the skill says, and otherwise name a class nearby."""
    right = random.random(len(labels)) < skill
    wrong = (labels + random.integers(1, max(2, min(classes, 4)), len(labels))) % classes
    counts = np.zeros((classes, classes), int)
    np.add.at(counts, (labels, np.where(right, labels, wrong)), 1)
    top1 = float(right.mean())
    totals = counts.sum(axis=1)
    return {
        "name": name,
        "kind": kind,
        "words": f"what {name} is, in one line",
        "parameters": 120_000,
        "top1": {"value": top1, "low": max(0.0, top1 - 0.07), "high": min(1.0, top1 + 0.06)},
        "top5": {"value": min(1.0, top1 + 0.2), "low": top1, "high": 1.0},
        "mean_class": top1,
        "covered_top1": top1 * len(labels) / (len(labels) + 1),
        "per_class": [
            float(counts[n, n] / totals[n]) if totals[n] else None for n in range(classes)
        ],
        "confusion": counts.tolist(),
        "ece": 0.08,
    }


def _converter_epochs(count: int = 12) -> list[dict[str, float]]:
    epochs: list[dict[str, float]] = []
    for epoch in range(count + 1):
        scores = {f"r2/{t}": 0.5 - 0.3 / (1 + epoch) - 0.2 * n for n, t in enumerate(TEACHERS)}
        losses = {
            f"{t}/{term}": share / (1 + epoch**0.5) * (n + 1)
            for n, t in enumerate(TEACHERS)
            for term, share in (("cosine", 0.5), ("smooth_l1", 0.05))
        }
        losses["loss"] = sum(losses.values())
        mean = sum(scores.values()) / len(scores)
        epochs.append({"epoch": epoch, **(losses if epoch else {}), "r2": mean, **scores})
    return epochs


def _fusion_epochs(count: int = 20) -> list[dict[str, float]]:
    epochs: list[dict[str, float]] = []
    for epoch in range(count + 1):
        entropy = 2.4 / (1 + 0.2 * epoch)
        losses = {"cross_entropy": entropy, "gates": 0.0006, "loss": entropy + 0.0006}
        held = 2.4 / (1 + 0.1 * epoch) + 0.02 * max(0, epoch - 8)
        scores = {"top1": 0.75 - 0.65 / (1 + 0.3 * epoch), "log_likelihood": -held}
        epochs.append({"epoch": epoch, **(losses if epoch else {}), **scores})
    return epochs


def _write_vectors(path: Path, labels: ndarray, classes: int, random: np.random.Generator) -> None:
    vectors = {"labels": labels, "student": _cloud(labels, classes, 12, 1.2, random)}
    for name, dim in zip(TEACHERS, (6, 16), strict=True):
        true = _cloud(labels, classes, dim, 0.6, random)
        noise = random.normal(0, 0.3, true.shape).astype(np.float32)
        vectors |= {f"true/{name}": true, f"translated/{name}": 0.8 * true + noise}
    np.savez(path, **vectors)  # pyright: ignore[reportArgumentType]


def _cloud(
    labels: ndarray, classes: int, dim: int, spread: float, random: np.random.Generator
) -> ndarray:
    centres = random.normal(0, 1, (classes, dim))
    return (centres[labels] + random.normal(0, spread, (len(labels), dim))).astype(np.float32)


def _write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path

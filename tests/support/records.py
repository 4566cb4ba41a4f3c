"""Small records of every stage, consistent in themselves, as a finished run would leave them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from tests.support.exports import exports

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

    folder: Path
    evaluation: Path
    exports: Path


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
    _write(folder / "curves_converters.json", {"epochs": _converter_epochs()})
    _write(folder / "curves_fusion.json", {"epochs": _fusion_epochs()})
    np.savez(folder / "frames.npz")
    _write_outcomes(folder / "outcomes.csv", labels, len(names))
    _write_projections(folder / "projections.npz", labels, random)
    return Records(
        folder,
        _write(folder / "evaluation.json", evaluation(labels, names, random) | changes),
        _write(folder / "exports.json", exports("fp16", "int8")),
    )


def evaluation(labels: ndarray, names: tuple[str, ...], random: np.random.Generator) -> dict:
    """Give the content of evaluation.json."""
    return {
        "schema": 2,
        "command": "python -m polyspace.train.evaluate --dataset motion",
        "created": "2026-11-21T05:00:00+00:00",
        "device": "cpu",
        "versions": {"polyspace": "0.1.0", "torch": "2.13.0"},
        "seed": 0,
        "seeds": [0, 1, 2],
        "seconds": 41.5,
        "dataset": {
            "name": "motion",
            "split": "test",
            "class_names": list(names),
            "clips": len(labels) + 1,
            "groups": 8,
            "fingerprint": "ab" * 32,
            "train_fingerprint": "cd" * 32,
        },
        "chance": 1 / len(names),
        "majority": 1 / len(names),
        "coverage": {
            "clips": len(labels) + 1,
            "evaluated": len(labels),
            "share": len(labels) / (len(labels) + 1),
            "unlabelled": 0,
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
        "comparisons": [
            comparison(baseline, 0.1 - 0.02 * place)
            for place, baseline in enumerate(
                name for name, (kind, _) in SKILLS.items() if kind in ("baseline", "control")
            )
        ],
        "translation": {
            teacher: {
                kind: _agreement(r2, cosine, len(names))
                for kind, r2, cosine in (
                    ("mean", -0.01, 0.48),
                    ("procrustes", 0.21, 0.66),
                    ("ridge", 0.39, 0.74),
                    ("residual_mlp", 0.47, 0.79),
                )
            }
            for teacher in TEACHERS
        },
        "retrieval": {
            teacher: {"top1": 0.2, "top5": 0.5, "mean_rank": 4.5, "median_rank": 3.0, "clips": 24}
            for teacher in TEACHERS
        },
        "atlas": ATLAS,
        "cost": COST,
        "shown": [SHOWN],
        "recovery": {TEACHERS[1]: RECOVERY},
        "overlap": {"groups": 0, "ids": 0, "features": 0, "examples": []},
        "contamination": [],
        "gates": {
            teacher: {
                "mean": mean,
                "per_time": (mean + 0.1 * np.sin(np.arange(8))).tolist(),
                "per_class": np.clip(random.normal(mean, 0.1, len(names)), 0, 1).tolist(),
            }
            for teacher, mean in zip(TEACHERS, (0.62, 0.18), strict=True)
        },
        "interval": "95 %, bootstrap over groups and seeds, 2000 resamples",
        "gaps": {"knn:motion_vectors": "20 nearest neighbours vote, but there are 8 clips"},
    }


def comparison(baseline: str, value: float, width: float = 0.07, p: float = 0.012) -> dict:
    """Give the fusion's difference to a baseline."""
    difference = {"value": value, "low": value - width, "high": value + width}
    return {
        "method": "fusion",
        "baseline": baseline,
        "difference": difference,
        "p": p,
        "adjusted_p": min(1.0, 4 * p),
        "mcnemar_p": p,
    }


CHANCE = {"mean": 0.0, "p95": 0.1, "p": 0.005, "permutations": 200, "clips": 24}
RANKS = {
    "rankme": 5.0,
    "effective_rank": 6.0,
    "participation_ratio": 3.0,
    "components": 12,
    "clips": 24,
}
ATLAS = {
    "clips": 24,
    "k": 10,
    "permutations": 200,
    "seed": 0,
    "spaces": [
        {"name": "transnetv2", "dims": 12, "ranks": RANKS},
        {"name": "motion_vectors", "dims": 6, "ranks": RANKS},
    ],
    "pairs": [
        {
            "first": "transnetv2",
            "second": "motion_vectors",
            "cka": 0.4,
            "unbiased_cka": {"value": 0.3, "chance": CHANCE},
            "svcca": {"value": 0.6, "chance": 0.5, "clips": 24},
            "mutual_knn": {"value": 0.5, "chance": CHANCE},
            "cknna": None,
        }
    ],
    "gaps": {"flat": "it has collapsed"},
}


def _path(name: str, kind: str, milliseconds: float, **changes) -> dict[str, Any]:
    span = {"median": milliseconds, "low": 0.9 * milliseconds, "high": 1.2 * milliseconds}
    return {
        "name": name,
        "kind": kind,
        "words": f"what {name} runs",
        "backbones": ["transnetv2"],
        "parameters": 2_470_000,
        "flops": 8_700_000_000,
        "latency_ms": {"decode": {"median": 5.0, "low": 4.0, "high": 6.0}, "total": span},
        "clips_per_second": 12.5,
        "peak_memory_bytes": 81_000_000,
        "batched_memory_bytes": 170_000_000,
        "repeats": 10,
        "missing": {},
        **changes,
    }


COST = {
    "device": "a processor",
    "threads": 1,
    "dtype": "float32",
    "batch": 4,
    "processes": 2,
    "views": 1,
    "videos": 6,
    "paths": [
        _path("student", "baseline", 90.0),
        _path("fusion", "method", 100.0),
        _path(
            "teacher:motion_vectors",
            "upper bound",
            20.0,
            flops=None,
            missing={"flops": "its weights are not here"},
        ),
    ],
    "flops": "matrix products.",
    "memory": "peak of a fresh process.",
    "missing": {},
    "seconds": 20.0,
}
SHOWN = {
    "id": "left/1",
    "group": "g1",
    "rank": "worst",
    "label": 0,
    "said": 1,
    "chance": 0.9,
    "true_chance": 0.05,
    "view": 0,
    "views": 1,
    "frame_seconds": [],
    "gates": {teacher: [0.1, 0.9] for teacher in TEACHERS},
    "gate_seconds": [[0.0, 0.5], [0.5, 1.0]],
    "missing": {"frames": "give --root"},
}
RECOVERY = {
    "source": "a package",
    "classes": 1000,
    "clips": 24,
    "agreement": {"value": 0.4, "low": 0.3, "high": 0.5},
    "agreement_top5": 0.7,
    "kl_nats": 1.2,
    "ignorant": 0.1,
    "accuracy": None,
    "note": "it reads the mean of the tokens",
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
        "seeds": 3,
        "top1_by_seed": [top1 - 0.01, top1, top1 + 0.01],
        "top1": {"value": top1, "low": max(0.0, top1 - 0.07), "high": min(1.0, top1 + 0.06)},
        "top5": {"value": min(1.0, top1 + 0.2), "low": top1, "high": 1.0},
        "mean_class": top1,
        "covered_top1": top1 * len(labels) / (len(labels) + 1),
        "per_class": [
            float(counts[n, n] / totals[n]) if totals[n] else None for n in range(classes)
        ],
        "confusion": counts.tolist(),
        "ece": 0.08,
        "log_loss": 1.1,
        "brier": 0.4,
        "reliability": _bins(),
        "label_order": {"accuracy": top1, "held_out": top1, "alarm": False},
    }


def _agreement(r2: float, cosine: float, classes: int) -> dict[str, Any]:
    dimensions = {"r2": np.linspace(r2 - 0.5, r2 + 0.4, 21).tolist(), "below_mean": 0.1}
    return {
        "r2": r2,
        "cosine": cosine,
        "centred_cosine": max(0.0, r2) ** 0.5,
        "r2_own": r2 + 0.01,
        "centred_cosine_own": max(0.0, r2) ** 0.5,
        "dimensions": dimensions,
        "dimensions_own": dimensions,
        "classes": [{"clips": 8, "r2": r2, "centred_cosine": 0.5} for _ in range(classes)],
    }


def _bins(count: int = 15) -> list[dict[str, Any]]:
    """Be sure of clips from one half on, and a little too sure."""
    edges = np.linspace(0, 1, count + 1)
    return [
        {"low": low, "high": high, "clips": 3, "confidence": (low + high) / 2, "accuracy": low}
        if low >= 0.5
        else {"low": low, "high": high, "clips": 0, "confidence": None, "accuracy": None}
        for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    ]


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
    vectors = {"labels": labels, "transnetv2": _cloud(labels, classes, 12, 1.2, random)}
    for name, dim in zip(TEACHERS, (6, 16), strict=True):
        true = _cloud(labels, classes, dim, 0.6, random)
        noise = random.normal(0, 0.3, true.shape).astype(np.float32)
        vectors |= {name: true, f"translated:{name}": 0.8 * true + noise}
    np.savez(path, **vectors)  # pyright: ignore[reportArgumentType]


def _write_outcomes(path: Path, labels: ndarray, classes: int) -> None:
    """Let the fusion be wrong on every fourth clip, the student on every second one."""
    lines = ["id,group,class,fusion/0,fusion/1,student/0"]
    for clip, label in enumerate(labels.tolist()):
        wrong = (label + 1) % classes
        fusion, student = (wrong if clip % n == 0 else label for n in (4, 2))
        lines.append(f"clip-{clip},g{clip // 3},{label},{fusion},{fusion},{student}")
    path.write_text("\n".join(lines) + "\n")


def _write_projections(path: Path, labels: ndarray, random: np.random.Generator) -> None:
    names = ["transnetv2", *TEACHERS, *(f"translated:{name}" for name in TEACHERS)]
    shape = len(labels), 2
    points = {f"tsne/{name}": random.normal(size=shape).astype(np.float32) for name in names}
    np.savez(path, labels=labels, **points)  # pyright: ignore[reportArgumentType]


def _cloud(
    labels: ndarray, classes: int, dim: int, spread: float, random: np.random.Generator
) -> ndarray:
    centres = random.normal(0, 1, (classes, dim))
    return (centres[labels] + random.normal(0, spread, (len(labels), dim))).astype(np.float32)


def _write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path

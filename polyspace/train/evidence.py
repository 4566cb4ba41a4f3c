"""The record of an evaluation: every figure with its interval, and everything that it rests on."""

import csv
import io
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64
from numpy import ndarray

from polyspace.files import write_atomically
from polyspace.metrics import calibration, classification, intervals
from polyspace.metrics.intervals import Resampling
from polyspace.metrics.label_order import label_order
from polyspace.train.fusion_workload import Predictions, Rows
from polyspace.train.scoring import Scored, Subject

SCHEMA = 2
PACKAGES = ("polyspace", "torch", "transformers", "zarr", "av", "numpy", "scikit-learn")


@dataclass(frozen=True)
class Terms:
    """What everything in the record was computed with."""

    command: str
    resamples: int
    seed: int
    seeds: int


def record(
    subject: Subject, scored: Sequence[Scored], parts: Mapping[str, Any], terms: Terms
) -> dict[str, Any]:
    """Put everything together.

    Args:
        subject: What was evaluated.
        scored: The rows of the table, the fusion first.
        parts: What was measured besides: translation, atlas, cost and so on.
        terms: What it was computed with.
    """
    return {
        "schema": SCHEMA,
        "command": terms.command,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": _device(subject.test.device),
        "versions": {"python": platform.python_version(), **{n: version(n) for n in PACKAGES}},
        "seed": terms.seed,
        "seeds": [subject.settings.seed + number for number in range(terms.seeds)],
        **_data(subject),
        "student": subject.translator.student_name,
        "teachers": list(subject.translator.specs),
        "trunk": subject.translator.width,
        "methods": _methods(scored, subject, terms),
        "comparisons": comparisons(scored, subject, terms),
        "gates": _gates(scored[0].said[0], subject),
        "interval": f"95 %, bootstrap over groups and seeds, {terms.resamples} resamples",
        **parts,
    }


def write(
    folder: Path,
    content: Mapping[str, Any],
    subject: Subject,
    scored: Sequence[Scored],
    vectors: Mapping[str, Float32[ndarray, "clip _"]],
) -> Path:
    """Write evaluation.json, and beside it what pictures are drawn from."""
    ids = np.array([subject.test.ids[row] for row in subject.clips])
    logits = {f"logits/{row.name}": np.stack(row.logits) for row in scored}
    gates = {f"gates/{name}": gate.numpy() for name, gate in scored[0].said[0].gates.items()}
    clips = {"ids": ids, "groups": np.array(subject.groups), "labels": subject.labels}
    write_arrays(folder / "predictions.npz", {**clips, **logits, **gates})
    _write_outcomes(folder / "outcomes.csv", subject, scored)
    write_arrays(folder / "vectors.npz", {"labels": subject.labels, **vectors})
    text = json.dumps(content, indent=1, allow_nan=False).encode()
    write_atomically(folder / "evaluation.json", lambda file: file.write(text))
    return folder / "evaluation.json"


def read(path: Path) -> dict[str, Any]:
    """Read a record back."""
    return json.loads(path.read_text())


def _data(subject: Subject) -> dict[str, Any]:
    """Say what the figures speak of."""
    test, train, names = subject.test, subject.train, subject.fusion.spec.class_names
    coverage = test.store.coverage
    return {
        "dataset": {
            "name": test.dataset,
            "split": test.split,
            "class_names": list(names),
            "clips": len(subject.clips),
            "groups": len(set(subject.groups)),
            "fingerprint": test.fingerprint,
            "train_fingerprint": train.fingerprint,
        },
        "views": test.views,
        "chance": 1 / len(names),
        "majority": classification.majority(train.labels, subject.labels),
        "coverage": {
            "clips": coverage.clips,
            "evaluated": len(subject.clips),
            "share": len(subject.clips) / coverage.clips,
            "quarantined": dict(coverage.quarantined),
            "unlabelled": len(test.store.unlabelled),
        },
        "random_weights": [name for name in subject.backbones if test.weights(name)["random"]],
    }


def _methods(scored: Sequence[Scored], subject: Subject, terms: Terms) -> list[dict[str, Any]]:
    counts = {len(row.said) for row in scored}
    drawn = {seeds: _draw(subject, terms, seeds=seeds) for seeds in sorted(counts)}
    return [_method(row, subject, drawn[len(row.said)]) for row in scored]


def _method(row: Scored, subject: Subject, drawn: Resampling) -> dict[str, Any]:
    """Score one method in every way: figures are means over its seeds, tables of the first."""
    labels, clips = subject.labels, subject.test.store.coverage.clips
    first, fifth = (_hits(row, subject, k) for k in (1, 5))
    tables = [
        classification.confusion(logits.argmax(1), labels, classes=logits.shape[1])
        for logits in row.logits
    ]
    per_class = np.mean([classification.per_class(counts) for counts in tables], axis=0)
    return {
        "name": row.name,
        "kind": row.kind,
        "words": row.words,
        "parameters": row.parameters,
        "seeds": len(row.said),
        "top1": asdict(drawn.estimate(first.astype(np.float64))),
        "top1_by_seed": first.mean(axis=1).tolist(),
        "top5": asdict(drawn.estimate(fifth.astype(np.float64))),
        "mean_class": fmean(classification.mean_class(counts) for counts in tables),
        "covered_top1": fmean(classification.covered(hits, clips=clips) for hits in first),
        "per_class": [None if np.isnan(share) else float(share) for share in per_class],
        "confusion": tables[0].tolist(),
        "ece": fmean(calibration.expected_error(*_sure(one, labels)) for one in row.logits),
        "log_loss": fmean(calibration.negative_log_likelihood(one, labels) for one in row.logits),
        "brier": fmean(calibration.brier(one, labels) for one in row.logits),
        "reliability": [
            asdict(part) for part in calibration.reliability(*_sure(row.logits[0], labels))
        ],
        "label_order": asdict(label_order(tables[0], random=np.random.default_rng(0))),
    }


def _sure(
    logits: Float32[ndarray, "clip label"], labels: Rows
) -> tuple[Float64[ndarray, " clip"], Bool[ndarray, " clip"]]:
    """Say how sure a method is of each clip, and whether it is right."""
    return calibration.softmax(logits).max(axis=1), logits.argmax(1) == labels


def comparisons(scored: Sequence[Scored], subject: Subject, terms: Terms) -> list[dict[str, Any]]:
    """Compare the fusion clip by clip with everything that needs no teacher, student first.

    Probes of the student are among them; p-values are corrected for their number.
    """
    own, others = scored[0], [row for row in scored[1:] if row.kind != "upper bound"]
    others.sort(key=lambda row: row.name != "student")
    drawn = _draw(subject, terms, seeds=len(own.said))
    found = [_comparison(own, other, subject, drawn) for other in others]
    adjusted = intervals.holm([compared["p"] for compared in found])
    return [{**compared, "adjusted_p": p} for compared, p in zip(found, adjusted, strict=True)]


def _comparison(own: Scored, other: Scored, subject: Subject, drawn: Resampling) -> dict[str, Any]:
    """Compare two methods seed by seed; one that was trained once, with every seed."""
    mine, theirs = (_hits(row, subject, 1) for row in (own, other))
    found = drawn.difference(
        mine.astype(np.float64), np.broadcast_to(theirs, mine.shape).astype(np.float64)
    )
    return {
        "method": own.name,
        "baseline": other.name,
        "difference": {"value": found.value, "low": found.low, "high": found.high},
        "p": found.p,
        "mcnemar_p": intervals.mcnemar(mine[0], theirs[0]),
    }


def _draw(subject: Subject, terms: Terms, *, seeds: int) -> Resampling:
    """Draw groups and seeds: the same for every row that has as many seeds."""
    random = np.random.default_rng(terms.seed)
    return Resampling.draw(subject.groups, seeds=seeds, resamples=terms.resamples, random=random)


def _hits(row: Scored, subject: Subject, k: int) -> Bool[ndarray, "seed clip"]:
    return np.stack([classification.hits(said, subject.labels, k=k) for said in row.logits])


def _gates(said: Predictions, subject: Subject) -> dict[str, Any]:
    """Average each teacher's gate over everything, over time, over classes, and over both."""
    labels, classes = subject.labels, len(subject.fusion.spec.class_names)
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


def _write_outcomes(path: Path, subject: Subject, scored: Sequence[Scored]) -> None:
    """Write which class every training of every method named, clip by clip: -1 where it didn't."""
    text = io.StringIO()
    named = {
        f"{row.name}/{seed}": classification.named(logits).tolist()
        for row in scored
        for seed, logits in enumerate(row.logits)
    }
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("id", "group", "class", *named))
    ids = (subject.test.ids[row] for row in subject.clips)
    writer.writerows(
        zip(ids, subject.groups, subject.labels.tolist(), *named.values(), strict=True)
    )
    write_atomically(path, lambda file: file.write(text.getvalue().encode()))


def write_arrays(path: Path, arrays: Mapping[str, ndarray]) -> None:
    """Write named arrays, none of which is an object."""
    write_atomically(path, lambda file: np.savez(file, allow_pickle=False, **arrays))


def _device(device: torch.device) -> str:
    """Name the processor that computed."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"CPU ({platform.machine()}), {threads} thread{'s' if threads > 1 else ''}"

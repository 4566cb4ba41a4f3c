"""report.json: what a whole pipeline came to, for programs to read."""

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue

from polyspace.files import write_atomically
from polyspace.report.records.evaluation import Evaluation, read_evaluation
from polyspace.report.records.exports import Exports, read_exports
from polyspace.report.records.methods import Method
from polyspace.report.records.proof import Proof

SCHEMA = 2


def write(
    evaluation: Path,
    *,
    exports: Path,
    sizes: Mapping[str, int],
    seconds: Mapping[str, float],
    paths: Mapping[str, Path],
    out: Path,
) -> Path:
    """Draw the figures that matter together into one file.

    Args:
        evaluation: evaluation.json.
        exports: exports.json of the folder of bundles.
        sizes: Bytes on disk of each backbone's features.
        seconds: What each stage took when it last ran.
        paths: Where everything is.
        out: The file.

    Returns:
        `out`.

    Raises:
        RecordError: A record is missing, or of another schema.
    """
    read, exported = read_evaluation(evaluation), read_exports(exports)
    content: dict[str, JsonValue] = {
        "schema": SCHEMA,
        **_provenance(read),
        "chance": read.chance,
        "majority": read.majority,
        "coverage": read.coverage.model_dump(mode="json"),
        "methods": [_method(method) for method in read.methods],
        "comparison": read.comparison.model_dump(mode="json"),
        **_export(exported, sizes),
        "seconds": {**seconds, "total": round(sum(seconds.values()), 3)},
        "paths": {name: str(path) for name, path in paths.items()},
    }
    write_atomically(out, lambda file: file.write(json.dumps(content, indent=1).encode()))
    return out


def _provenance(evaluation: Evaluation) -> dict[str, JsonValue]:
    fields = {"command", "created", "device", "versions", "seed", "random_weights"}
    return evaluation.model_dump(mode="json", include=fields | {"student", "teachers", "dataset"})


def _method(method: Method) -> JsonValue:
    fields = {"name", "kind", "words", "parameters", "top1", "covered_top1"}
    return method.model_dump(mode="json", include=fields)


def _export(exports: Exports, sizes: Mapping[str, int]) -> dict[str, JsonValue]:
    """Give sizes, ratios and agreement by format."""
    proofs = {exported.folder: exported.proof for exported in exports.formats}
    return {
        "sizes": {
            "bundle_float32": max((p.float32_bytes for p in proofs.values()), default=0),
            "bundle": {name: proof.bytes for name, proof in proofs.items()},
            "features": dict(sizes),
        },
        "ratios": {name: proof.ratio for name, proof in proofs.items()},
        "bundle": {name: _proof(proof) for name, proof in proofs.items()},
        "refused": dict(exports.refused),
    }


def _proof(proof: Proof) -> JsonValue:
    fields = {"clips", "top1_source", "top1_export", "difference_points", "agreement", "mean_kl"}
    times: dict[str, JsonValue] = {
        str(latency.batch): latency.ratio.median for latency in proof.latency
    }
    figures: dict[str, JsonValue] = proof.model_dump(mode="json", include=fields)
    return {**figures, "time_ratio": times}

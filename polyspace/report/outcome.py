"""report.json: what a whole pipeline came to, for programs to read."""

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue

from polyspace.files import write_atomically
from polyspace.report.records.evaluation import Evaluation, read_evaluation
from polyspace.report.records.methods import Method
from polyspace.report.records.training import Proof, read_proof

SCHEMA = 1


def write(
    evaluation: Path,
    *,
    proof: Path,
    sizes: Mapping[str, int],
    seconds: Mapping[str, float],
    paths: Mapping[str, Path],
    out: Path,
) -> Path:
    """Draw the figures that matter together into one file.

    Args:
        evaluation: evaluation.json.
        proof: proof.json of the exported bundle.
        sizes: Bytes on disk of each backbone's features.
        seconds: What each stage took when it last ran.
        paths: Where everything is.
        out: The file.

    Returns:
        `out`.

    Raises:
        RecordError: A record is missing, or of another schema.
    """
    read, proved = read_evaluation(evaluation), read_proof(proof)
    content: dict[str, JsonValue] = {
        "schema": SCHEMA,
        **_provenance(read),
        "chance": read.chance,
        "majority": read.majority,
        "coverage": read.coverage.model_dump(mode="json"),
        "methods": [_method(method) for method in read.methods],
        "comparison": read.comparison.model_dump(mode="json"),
        **_export(proved, sizes),
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


def _export(proof: Proof, sizes: Mapping[str, int]) -> dict[str, JsonValue]:
    fields = {"top1_source", "top1_export", "difference_points", "agreement"}
    return {
        "sizes": {
            "bundle_float32": proof.float32_bytes,
            "bundle": proof.bytes,
            "features": dict(sizes),
        },
        "ratios": {"bundle": proof.ratio},
        "bundle": proof.model_dump(mode="json", include=fields | {"dtype", "clips"}),
    }

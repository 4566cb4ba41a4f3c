"""Proven bundles in MLflow's model registry: versions with a signature, and an alias that moves.

A version says what it was proved on. The alias, @champion, moves to a new one only if the proof
holds and nothing better is known: on the same held-out clips, the one that has it is not ahead.
"""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import requires
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy import ndarray
from packaging.requirements import Requirement

import polyspace
from polyspace import console
from polyspace.errors import ExportError, RecordError
from polyspace.export import contents
from polyspace.files import sha256_file
from polyspace.store.reader import FeatureStore, find_store
from tasks import addresses, lineage
from tasks.lineage import Source
from tasks.tracking import client as tracking
from tasks.tracking import runs
from tasks.tracking.records import Record
from tasks.tracking.registration import RegisterConfig, Registered
from tasks.tracking.values import ALONE, Tracker

# isort: split
# After the library, which says what mlflow reads while it is imported.
from mlflow import MlflowClient, pyfunc
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

SERVED = Path(__file__).with_name("served.py")
TAGS = ("kind", "ratio", "top1", "difference_points", "held_out", "clips", "bundle")
"""What every version is tagged with, as polyspace.NAME."""


def register(config: RegisterConfig, tracker: Tracker = ALONE) -> Registered:
    """Register a bundle; one that is registered already is left as it is.

    Raises:
        CheckpointError: It is no bundle, or not as it was written.
        ExportError: Its proof doesn't hold.
        RecordError: MLflow failed.
    """
    found = _Bundle.read(config.bundle)
    name = config.name or f"{found.proof['dataset']}-{found.student}"
    store = find_store(config.features, found.proof["dataset"], found.proof["split"])
    sources = [lineage.store(store), Source("bundle", found.folder, found.digest)]
    title = f"register {config.bundle}"
    with runs.run("register", config, found.proof["dataset"], tracker, title=title) as record:
        record.sources(sources, found.proof["dataset"])
        try:
            return _register(record, found, name, config.alias, _example(found, store))
        except tracking.failures() as error:
            raise RecordError(
                f"MLflow at {addresses.tracking_uri()} didn't take the model "
                f"({tracking.first_words(error)}): the bundle is as it was; register it again"
            ) from error


def champion(client: MlflowClient, name: str, alias: str) -> ModelVersion | None:
    """Find the version that has an alias."""
    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


@dataclass(frozen=True, eq=False)
class _Bundle:
    """A bundle that was verified, and what is known of it."""

    folder: Path
    config: Mapping[str, Any]
    proof: Mapping[str, Any]
    digest: str
    """sha256 of its SHA256SUMS, which names it."""

    @classmethod
    def read(cls, folder: Path) -> "_Bundle":
        contents.verify(folder)
        config = contents.read_config(folder)
        proof = json.loads((folder / contents.PROOF).read_text())
        _refuse_unproven(folder, proof)
        return cls(folder, config, proof, sha256_file(folder / contents.SUMS))

    @property
    def student(self) -> str:
        return self.config["student"]["name"]

    @property
    def tags(self) -> dict[str, str]:
        values = {
            "kind": self.config["kind"],
            "ratio": f"{self.proof['ratio']:.3f}",
            "top1": repr(self.proof["top1_export"]["value"]),
            "difference_points": repr(self.proof["difference_points"]["value"]),
            "held_out": self.proof["fingerprint"],
            "clips": str(self.proof["clips"]),
            "bundle": self.digest,
        }
        return {f"polyspace.{name}": values[name] for name in TAGS}


def _refuse_unproven(folder: Path, proof: Mapping[str, Any]) -> None:
    """Look at the proof again: a version that is served answers as its source does."""
    allowed = proof["thresholds"]["points"]
    found = abs(proof["difference_points"]["value"])
    if not found <= allowed:
        raise ExportError(
            f"{folder} differs from its source by {found:.2f} points of top-1 (allowed: {allowed}):"
            f" it is not registered; export another format"
        )


def _register(
    record: Record, found: _Bundle, name: str, alias: str, example: Mapping[str, ndarray]
) -> Registered:
    if not record.is_kept:
        raise RecordError("tracking is off, and models are registered with MLflow: switch it on")
    reached = record.connected()
    if reached is None:
        raise RecordError(
            f"MLflow at {addresses.tracking_uri()} doesn't answer: the bundle is as it was; "
            f"register it again"
        )
    client, run_id = reached
    _make_model(client, name)
    version = _same(client, name, found.digest)
    if version is None:
        logged = _log(client, run_id, found, example)
        version = client.create_model_version(
            name,
            # Not models:/…, which MLflow would look for where its own default is.
            source=logged.artifact_location,
            run_id=run_id,
            model_id=logged.model_id,
            tags=found.tags,
            description=_card(found.folder),
        )
    present = champion(client, name, alias)
    if present is not None and _is_ahead(present, found):
        console.say(f"{name} version {present.version} keeps @{alias}: it is better on these clips")
        return Registered(name, str(version.version), None)
    client.set_registered_model_alias(name, alias, str(version.version))
    return Registered(name, str(version.version), alias)


def _make_model(client: MlflowClient, name: str) -> None:
    try:
        client.get_registered_model(name)
    except MlflowException:
        client.create_registered_model(
            name, description="Bundles of PolySpace, each with its proof."
        )


def _same(client: MlflowClient, name: str, digest: str) -> ModelVersion | None:
    """Find the version that is this very bundle."""
    versions = client.search_model_versions(f"name = '{name}'")
    return next((v for v in versions if v.tags.get("polyspace.bundle") == digest), None)


def _is_ahead(present: ModelVersion, found: _Bundle) -> bool:
    """Say whether a version did better on the very clips that the bundle was proved on."""
    tags = present.tags
    same_clips = tags.get("polyspace.held_out") == found.proof["fingerprint"]
    return same_clips and float(tags["polyspace.top1"]) > found.proof["top1_export"]["value"]


def _log(
    client: MlflowClient, run_id: str, found: _Bundle, example: Mapping[str, ndarray]
) -> LoggedModel:
    """Hand MLflow the model with all that it takes to run it."""
    experiment = client.get_run(run_id).info.experiment_id
    logged = client.create_logged_model(
        experiment, name=found.config["kind"], source_run_id=run_id, tags=found.tags
    )
    # Recorded, so not shown: MLflow's advice on signatures that it could guess; it is given one.
    with TemporaryDirectory() as folder, warnings.catch_warnings(record=True):
        pyfunc.save_model(
            f"{folder}/model",
            mlflow_model=Model(run_id=run_id, model_id=logged.model_id),
            python_model=str(SERVED),
            artifacts={"bundle": str(found.folder.resolve())},
            code_paths=[str(Path(polyspace.__file__).parent)],
            signature=_signature(found, example),
            input_example=dict(example),
            pip_requirements=_requirements(found.config["kind"]),
        )
        client.log_model_artifacts(logged.model_id, f"{folder}/model")
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, 0)])
    return client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)


def _signature(found: _Bundle, example: Mapping[str, ndarray]) -> ModelSignature:
    """Say what goes in, with any number of clips, and what comes out: a column a class."""
    inputs: list[ColSpec | TensorSpec] = [
        TensorSpec(one.dtype, (-1, *one.shape[1:]), name) for name, one in example.items()
    ]
    columns: list[ColSpec | TensorSpec] = [
        ColSpec(DataType.float, name) for name in found.config["class_names"]
    ]
    return ModelSignature(Schema(inputs), Schema(columns))


def _example(found: _Bundle, store: Path) -> dict[str, ndarray]:
    """Take the first held-out clip's tokens."""
    if found.config["entry"] != "tokens":
        raise ExportError(
            f"{found.folder} takes {found.config['entry']}, and models are served on tokens: "
            f"register a bundle that was exported with --entry tokens"
        )
    opened = FeatureStore.open(store)
    tokens = opened.tokens(found.student, opened.rows([found.student])[:1])
    return {"tokens": tokens.numpy().astype(np.float32)}


def _requirements(kind: str) -> list[str]:
    """Give what polyspace itself needs, and what the format does; polyspace comes as code."""
    needed = [Requirement(text) for text in requires("polyspace") or ()]
    extra = {"extra": "onnx" if kind.startswith("onnx") else ""}
    chosen = [r for r in needed if r.marker is None or r.marker.evaluate(extra)]
    return [f"{r.name}{r.specifier}" for r in chosen]


def _card(folder: Path) -> str | None:
    card = folder / "README.md"
    return card.read_text() if card.is_file() else None

"""The records that the stages leave, read back as checked values."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Float32, Int64
from numpy import ndarray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError

from polyspace.errors import RecordError

M = TypeVar("M", bound="_Record")

Share = Annotated[float, BeforeValidator(lambda value: float("nan") if value is None else value)]
"""A share of one; NaN (null in the file) where there was nothing to take a share of."""


class _Record(BaseModel):
    """A part of a record; what stages write beyond it is not read."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Estimate(_Record):
    """A value and its interval."""

    value: float
    low: float
    high: float


class Dataset(_Record):
    """What was evaluated on."""

    name: str
    split: str
    class_names: tuple[str, ...]
    clips: int
    groups: int
    shared_groups: int
    """Groups that the training split has clips of, too: there should be none."""
    fingerprint: str
    train_fingerprint: str


class Coverage(_Record):
    """Which clips of the split could be read."""

    clips: int
    evaluated: int
    share: float
    quarantined: dict[str, str]
    """Reasons by clip."""


class Method(_Record):
    """A row of the table."""

    name: str
    kind: Literal["method", "baseline", "control", "upper bound"]
    words: str
    parameters: int
    top1: Estimate
    top5: Estimate
    mean_class: float
    covered_top1: float
    per_class: tuple[Share, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Clips by true class (rows) and predicted class (columns)."""
    ece: float


class Comparison(_Record):
    """Two methods on the same clips."""

    method: str
    baseline: str
    difference: Estimate
    mcnemar_p: float


class Agreement(_Record):
    """How near translated features come to the true ones."""

    r2: float
    cosine: float
    centred_cosine: float
    r2_own: float | None = None
    """In the teacher's own space; records of 0.1.0 lack it."""
    centred_cosine_own: float | None = None


class Gate(_Record):
    """How far a teacher's gate was open; 0 is shut, 1 is open."""

    mean: float
    per_time: tuple[float, ...]
    per_class: tuple[Share, ...]


class Evaluation(_Record):
    """evaluation.json: every method, scored once on the test split."""

    schema_version: Annotated[Literal[1], Field(alias="schema")]
    command: str
    created: datetime
    device: str
    views: int = 1
    """Of every clip, whose chances were averaged."""
    versions: dict[str, str]
    seed: int
    seconds: float
    dataset: Dataset
    chance: float
    majority: float
    coverage: Coverage
    random_weights: tuple[str, ...]
    student: str
    teachers: tuple[str, ...]
    trunk: int = 0
    """Width of the trunk that the converters share; 0: none."""
    methods: tuple[Method, ...]
    comparison: Comparison
    translation: dict[str, dict[str, Agreement]]
    """By teacher and converter."""
    gates: dict[str, Gate]
    """By teacher."""
    interval: str
    """How the intervals were made."""

    def method(self, name: str) -> Method:
        """Give the row of that name.

        Raises:
            RecordError: There is none.
        """
        for method in self.methods:
            if method.name == name:
                return method
        names = ", ".join(method.name for method in self.methods)
        raise RecordError(f"no method {name!r} in the evaluation: it has {names}; evaluate again")


class Curves(_Record):
    """curves.json: mean losses and hold-out scores by epoch; epoch 0 has scores only."""

    epochs: tuple[dict[str, float], ...]

    def of(self, name: str) -> tuple[list[float], list[float]]:
        """Give the epochs that have a value of that name, and the values."""
        seen = [(epoch["epoch"], epoch[name]) for epoch in self.epochs if name in epoch]
        return [epoch for epoch, _ in seen], [value for _, value in seen]

    def ending(self, end: str) -> list[str]:
        """Give the names that end so, in the order in which they appear."""
        names = dict.fromkeys(name for epoch in self.epochs for name in epoch)
        return [name for name in names if name.endswith(end)]


class Proof(_Record):
    """proof.json: an exported bundle, reloaded and compared with its source."""

    dtype: str
    float32_bytes: int
    bytes: int
    ratio: float
    clips: int
    top1_source: float
    top1_export: float
    difference_points: float
    agreement: float
    max_abs_logit: float
    threshold_points: float
    quantization_info: JsonValue


@dataclass(frozen=True, eq=False)
class Vectors:
    """vectors.npz: one pooled vector for each test clip."""

    student: Float32[ndarray, "clip student_dim"]
    translated: Mapping[str, Float32[ndarray, "clip _"]]
    true: Mapping[str, Float32[ndarray, "clip _"]]
    """By teacher, like `translated` in the teacher's standardised space."""
    labels: Int64[ndarray, " clip"]


def read_evaluation(path: Path) -> Evaluation:
    """Read evaluation.json.

    Raises:
        RecordError: It isn't there, or isn't one.
    """
    return _read(path, Evaluation)


def read_curves(path: Path) -> Curves:
    """Read a training stage's curves.json.

    Raises:
        RecordError: It isn't there, or isn't one.
    """
    return _read(path, Curves)


def read_proof(path: Path) -> Proof:
    """Read a bundle's proof.json.

    Raises:
        RecordError: It isn't there, or isn't one.
    """
    return _read(path, Proof)


def read_vectors(path: Path, teachers: tuple[str, ...]) -> Vectors:
    """Read vectors.npz.

    Raises:
        RecordError: It isn't there, or lacks a teacher.
    """
    try:
        # Opened here, because np.load leaves a torn archive open.
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return Vectors(
                student=file["student"],
                translated={name: file[f"translated/{name}"] for name in teachers},
                true={name: file[f"true/{name}"] for name in teachers},
                labels=file["labels"],
            )
    except (OSError, KeyError, ValueError, BadZipFile) as error:
        raise RecordError(
            f"{path}: not the vectors of an evaluation ({error}): evaluate again"
        ) from error


def _read(path: Path, kind: type[M]) -> M:
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror}: run the stage that writes it") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise RecordError(
            f"{path}: {place}: {first['msg']}: it was written by another version; "
            "run the stage that writes it again"
        ) from error

"""The arrays that an evaluation leaves beside its record."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Float32, Int64, UInt8
from numpy import ndarray
from numpy.lib.npyio import NpzFile

from polyspace.errors import RecordError
from polyspace.report.records.evaluation import Evaluation

Frames = UInt8[ndarray, "frame row column 3"]


@dataclass(frozen=True, eq=False)
class Vectors:
    """vectors.npz: one pooled vector for each test clip."""

    student: Float32[ndarray, "clip student_dim"]
    translated: Mapping[str, Float32[ndarray, "clip _"]]
    true: Mapping[str, Float32[ndarray, "clip _"]]
    """By teacher, like `translated` in the teacher's standardised space."""
    labels: Int64[ndarray, " clip"]


def read_frames(path: Path, count: int) -> tuple[Frames | None, ...]:
    """Read frames.npz: a strip for each of some clips, None where one has none.

    Raises:
        RecordError: It isn't there, or isn't one.
    """
    with _arrays(path, "frames") as file:
        strips = tuple(file.get(str(place)) for place in range(count))
    for strip in strips:
        if strip is not None and (strip.dtype != np.uint8 or strip.ndim != 4):
            raise RecordError(f"{path}: holds {strip.dtype} {strip.shape}, no frames")
    return strips


def read_vectors(path: Path, evaluation: Evaluation) -> Vectors:
    """Read vectors.npz.

    Raises:
        RecordError: It isn't there, or lacks a teacher.
    """
    with _arrays(path, "vectors") as file:
        return Vectors(
            student=file[evaluation.student],
            translated={name: file[f"translated:{name}"] for name in evaluation.teachers},
            true={name: file[name] for name in evaluation.teachers},
            labels=file["labels"],
        )


def read_projections(path: Path, evaluation: Evaluation) -> dict[str, Vectors]:
    """Read projections.npz: points of the clips that were projected, by method.

    Raises:
        RecordError: It isn't there, or lacks a teacher.
    """
    with _arrays(path, "projections") as file:
        methods = dict.fromkeys(name.partition("/")[0] for name in file.files if "/" in name)
        labels, teachers = file["labels"], evaluation.teachers
        return {
            method: Vectors(
                student=file[f"{method}/{evaluation.student}"],
                translated={name: file[f"{method}/translated:{name}"] for name in teachers},
                true={name: file[f"{method}/{name}"] for name in teachers},
                labels=labels,
            )
            for method in methods
        }


@contextmanager
def _arrays(path: Path, what: str) -> Generator[NpzFile]:
    """Open an archive of arrays; whatever is wrong with it is one error."""
    try:
        # Opened here, because np.load leaves a torn archive open.
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            yield file
    except (OSError, KeyError, ValueError, BadZipFile) as error:
        raise RecordError(
            f"{path}: not the {what} of an evaluation ({error}): evaluate again"
        ) from error

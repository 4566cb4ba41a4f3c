"""What every method named, clip by clip."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from polyspace.errors import RecordError


@dataclass(frozen=True, eq=False)
class Outcomes:
    """outcomes.csv: the classes that every training of every method named."""

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    labels: Int64[ndarray, " clip"]
    named: Mapping[str, Int64[ndarray, "seed clip"]]
    """By method; -1 where it named none."""


def read_outcomes(path: Path) -> Outcomes:
    """Read outcomes.csv.

    Raises:
        RecordError: It isn't there, or isn't one.
    """
    try:
        with path.open(newline="") as file:
            head, *rows = csv.reader(file)
        columns = dict(zip(head, zip(*rows, strict=True), strict=True))
        numbers = {name: np.array(columns[name], np.int64) for name in head[2:]}
        return Outcomes(columns["id"], columns["group"], numbers.pop("class"), _by_seed(numbers))
    except (OSError, KeyError, ValueError) as error:
        raise RecordError(
            f"{path}: not the outcomes of an evaluation ({error}): evaluate again"
        ) from error


def _by_seed(
    columns: Mapping[str, Int64[ndarray, " clip"]],
) -> dict[str, Int64[ndarray, "seed clip"]]:
    """Put columns such as fusion/0 and fusion/1 together."""
    names = dict.fromkeys(name.rpartition("/")[0] for name in columns)
    return {
        method: np.stack(
            [own for name, own in columns.items() if name.rpartition("/")[0] == method]
        )
        for method in names
    }

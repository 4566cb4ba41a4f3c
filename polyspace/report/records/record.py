"""What all records share: checked values, read from JSON that a stage wrote."""

from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from polyspace.errors import RecordError

M = TypeVar("M", bound="Record")

Share = Annotated[float, BeforeValidator(lambda value: float("nan") if value is None else value)]
"""A share of one; NaN (null in the file) where there was nothing to take a share of."""


class Record(BaseModel):
    """A part of a record; what stages write beyond it is not read."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Estimate(Record):
    """A value and its interval."""

    value: float
    low: float
    high: float


def read(path: Path, kind: type[M]) -> M:
    """Read a record of some kind.

    Raises:
        RecordError: It isn't there, or isn't one.
    """
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

"""What stands beside an evaluation of how often its test split was looked at."""

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from polyspace.errors import RecordError

FILE = "protocol.json"


class Looks(BaseModel):
    """Evaluations on the same test store before this one, as MLflow had them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    tracked: bool = False
    """Whether anybody counts; if not, the numbers are None."""
    looks_model: int | None = None
    """Earlier evaluations of the same model, ended or not."""
    looks_dataset: int | None = None
    """Earlier evaluations of any model."""
    deleted: int | None = None
    """How many of those have been deleted in MLflow since."""
    words: str = "looks at it are not counted, because tracking is off or failed"
    """The same in a line, about the split."""


class _File(Looks):
    evaluation_sha256: str


def read(evaluation: Path) -> Looks:
    """Read what is beside an evaluation.json; nothing, or what is of another one, counts nothing.

    Raises:
        RecordError: The file is there and holds something else.
    """
    path = evaluation.with_name(FILE)
    if not path.is_file():
        return Looks()
    try:
        found = _File.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise RecordError(
            f"{path} holds no count of looks ({error.error_count()} misfits): delete it, or "
            f"evaluate again"
        ) from error
    own = found.evaluation_sha256 == hashlib.sha256(evaluation.read_bytes()).hexdigest()
    return Looks.model_validate(found.model_dump()) if own else Looks()

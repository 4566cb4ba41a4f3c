"""How far a run has been sent: a small file beside its spool, and a way back from MLflow's ids."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from polyspace import files
from tasks.tracking.spool import SUFFIX, Spool

KNOWN = "known"
"""Folder with a file for each of MLflow's ids, which says the id that is ours."""


class State(BaseModel):
    """What is known of a run's way to MLflow."""

    model_config = ConfigDict(extra="forbid")

    mlflow_id: str | None = None
    """MLflow's id; None: it has none yet, as far as this machine knows."""
    experiment_id: str | None = None
    sent: int = 0
    """Up to where the spool was sent, in bytes."""
    attempts: int = 0
    """How often MLflow was asked to create the run."""
    orphan: str | None = None
    """The run that this one nests under, while MLflow doesn't know it."""
    refused: list[str] = []
    """What MLflow didn't take, and wouldn't if it were sent again."""


@dataclass(frozen=True)
class Waiting:
    """A run of which MLflow doesn't know everything."""

    run_id: str
    mlflow_id: str | None
    size_bytes: int
    """What has still to be sent."""


def read(spool: Spool) -> State:
    """Read it; a run that nothing is known of, or whose file was cut short, begins anew."""
    try:
        return State.model_validate_json(_path(spool).read_bytes())
    except (OSError, ValueError):
        return State()


def write(spool: Spool, state: State) -> None:
    """Write it; where the disk refuses, it is found out again by asking MLflow."""
    text = state.model_dump_json().encode()
    try:
        files.write_atomically(_path(spool), lambda file: file.write(text))
        if state.mlflow_id and state.mlflow_id != spool.run_id:
            _remember(spool, state.mlflow_id)
    except OSError:
        spool.commit()  # It complains, once.


def forget(spool: Spool) -> None:
    """Remove it: what was sent is unknown then, and would be sent again.

    Raises:
        OSError: The disk refused.
    """
    _path(spool).unlink(missing_ok=True)


def local_id(folder: Path, run_id: str) -> str:
    """Give our id of a run that is known by either; an unknown one as it is."""
    try:
        return (folder / KNOWN / run_id).read_text()
    except OSError:
        return run_id


def waiting(spool: Spool) -> Waiting | None:
    """Say what of a run waits; None: nothing."""
    state = read(spool)
    size = spool.end() - state.sent
    return Waiting(spool.run_id, state.mlflow_id, size) if size > 0 else None


def _path(spool: Spool) -> Path:
    return spool.path.with_name(f"{spool.path.name.removesuffix(SUFFIX)}.sent.json")


def _remember(spool: Spool, mlflow_id: str) -> None:
    place = spool.path.parent / KNOWN / mlflow_id
    if not place.exists():
        text = spool.run_id.encode()
        files.write_atomically(place, lambda file: file.write(text))

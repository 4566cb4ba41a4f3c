"""What is asked of MLflow there and then: runs, their files, and the experiments they are in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from polyspace.errors import RecordError
from tasks.tracking import finding, library
from tasks.tracking.client import asked, connect, failures, first_words
from tasks.tracking.values import Told


def fetch(run_id: str, names: Iterable[str], into: Path) -> Path:
    """Copy files that a run kept into a folder; give the folder.

    Raises:
        RecordError: There is no such run, it was deleted, or it kept no such file.
    """
    try:
        client = connect()
        found = _resolved(client, run_id)
        if finding.is_deleted(found):
            raise RecordError(
                f"MLflow run {run_id} was deleted, and its files may go at any time: restore it "
                f"(mlflow runs restore --run-id {found.info.run_id}), or give the evaluation's "
                f"folder"
            )
        for name in names:
            client.download_artifacts(found.info.run_id, name, str(into))
    except failures() as error:
        raise RecordError(
            f"MLflow run {run_id} can't be compared ({first_words(error)}): give the id of an "
            f"evaluation's run, or its folder"
        ) from error
    return into


def runs_of(experiment: str) -> Sequence[Told]:
    """Give the runs of an experiment, deleted ones too, the earliest first.

    Args:
        experiment: Its name, or the data set that PolySpace has named it after.

    Raises:
        RecordError: There is no such experiment, or nobody can be asked.
    """
    with asked(f"the MLflow experiment {experiment!r} can't be read"):
        client = connect()
        known = [client.get_experiment_by_name(n) for n in (experiment, f"polyspace/{experiment}")]
        found = next((one for one in known if one is not None), None)
        if found is None:
            names = sorted(one.name for one in client.search_experiments())
            raise RecordError(
                f"MLflow has no experiment {experiment!r} or 'polyspace/{experiment}': known are "
                f"{', '.join(names)}"
            )
        runs = finding.pages(client, [found.experiment_id], "", ["start_time ASC"])
        return [_told(run) for run in runs]


def run_of(run_id: str) -> Told:
    """Give one run.

    Raises:
        RecordError: There is none of that id, or nobody can be asked.
    """
    with asked(f"MLflow run {run_id} can't be read"):
        return _told(_resolved(connect(), run_id))


def files_of(run_id: str) -> Sequence[str]:
    """Give the names of the files that a run keeps, those in folders left out.

    Raises:
        RecordError: They can't be listed.
    """
    with asked(f"MLflow run {run_id} can't be read"):
        client = connect()
        entries = client.list_artifacts(_resolved(client, run_id).info.run_id)
        return [entry.path for entry in entries if not entry.is_dir]


def _resolved(client: library.MlflowClient, run_id: str) -> library.Run:
    """Find a run by MLflow's id or ours; without one, let MLflow say so in its own words."""
    return finding.resolve(client, run_id) or client.get_run(run_id)


def _told(run: library.Run) -> Told:
    return Told(
        run_id=run.info.run_id,
        name=run.info.run_name or "a run without a name",
        status=run.info.status,
        is_deleted=finding.is_deleted(run),
        metrics=dict(run.data.metrics),
    )

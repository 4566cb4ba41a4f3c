"""Several evaluations side by side, given as folders or as MLflow runs, as a task."""

from pathlib import Path
from tempfile import TemporaryDirectory

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from polyspace.report import words
from polyspace.report.runs import document
from polyspace.report.runs.compared import Run, compare
from tasks import tracking

FILES = ("evaluation.json", "outcomes.csv")
"""What of an evaluation a comparison reads."""


@task(name="compare runs", task_run_name="compare runs", cache_policy=NO_CACHE)
def write(runs: tuple[str, ...], out: Path) -> Path:
    """Compare, and write the report; return it.

    Raises:
        RecordError: A run can't be read, or they can't be compared.
    """
    with TemporaryDirectory() as scratch:
        found = [_read(name, Path(scratch) / str(place)) for place, name in enumerate(runs)]
        path = document.write(found, out)
        _show(found)
    return path


def _read(name: str, scratch: Path) -> Run:
    """Read a run from its folder; what isn't one is an id of MLflow's."""
    if Path(name).is_dir():
        return Run.read(name, Path(name))
    scratch.mkdir()
    return Run.read(name, tracking.fetch(name, FILES, scratch))


def _show(found: list[Run]) -> None:
    """Show the table with the Prefect run, if this is part of one."""
    if flow_run.id:
        rows = [
            {"run": run.name, "top-1": words.percent(run.top1.value)} for run in compare(found).runs
        ]
        create_table_artifact(table=rows, key="comparison")

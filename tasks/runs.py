"""Several evaluations side by side, given as folders or as MLflow runs, as a task."""

from pathlib import Path
from tempfile import TemporaryDirectory

from prefect import task
from prefect.cache_policies import NO_CACHE

from polyspace.report import words
from polyspace.report.figures import canvas
from polyspace.report.figures import runs as figure
from polyspace.report.runs import document
from polyspace.report.runs.compared import Run, compare
from tasks import artefacts, names, outages, tracking

FILES = ("evaluation.json", "outcomes.csv")
"""What of an evaluation a comparison reads."""


@task(
    name="compare runs",
    task_run_name=names.TaskName("compare"),
    cache_policy=NO_CACHE,
    **outages.WHERE_MLFLOW_IS_ASKED,
)
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
    """Show table and picture with the Prefect run, if this is part of one."""
    if not artefacts.is_shown():
        return
    ranked = compare(found).runs
    rows = [
        {
            "run": run.name,
            "top-1": words.percent(run.top1.value),
            "interval": words.interval(run.top1),
        }
        for run in ranked
    ]
    artefacts.table("comparison", rows)
    artefacts.picture("comparison picture", lambda: canvas.data_uri(figure.draw(ranked)))

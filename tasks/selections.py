"""The best of several MLflow runs, by what their checkpoints scored, as a task."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from prefect import task
from prefect.cache_policies import NO_CACHE

from polyspace import console, files
from polyspace.engine import validation
from polyspace.engine.validation import Row
from polyspace.errors import ConfigError, SelectionError
from polyspace.export import select_best
from polyspace.export.select_best import SelectConfig
from polyspace.export.selection import own
from polyspace.export.selection.options import PolicyOptions
from tasks import artefacts, names, outages, tracking
from tasks.tracking import Told

SERIES = re.compile(r"(loss|hold_out)/.+|lr|skipped_steps")
"""Metrics of every epoch that training logs: their last values are the last epoch's, not those of
the checkpoint that was kept."""


class SelectRunsConfig(PolicyOptions):
    """Choose the best of the checkpoints that several MLflow runs kept, and publish it."""

    experiment: str | None = None
    """Experiment whose runs are candidates: its name, or the data set's."""
    runs: tuple[str, ...] = ()
    """Ids of runs, instead of an experiment."""
    checkpoint: str = "fusion.pt"
    """File of a run that is chosen among; runs that kept none are no candidates."""
    output_dir: Path = Path("runs/best")
    """Folder for best.pt, selection_metadata.json, README.md and the table."""
    plot: bool = False
    """Draw all candidates, the front of two metrics, and what other weights would change."""


@task(
    name="select checkpoint",
    task_run_name=names.TaskName("select"),
    cache_policy=NO_CACHE,
    **outages.WHERE_MLFLOW_IS_ASKED,
)
def choose(config: SelectRunsConfig) -> Path:
    """Fetch every candidate's checkpoint, choose, and publish; return the folder.

    Raises:
        ConfigError: Neither an experiment nor runs are given, or both.
        RecordError: MLflow can't be asked.
        SelectionError: There is no candidate, or none may be chosen.
    """
    finished = [run for run in _told(config) if _is_finished(run)]
    candidates = [run for run in finished if config.checkpoint in tracking.files_of(run.run_id)]
    if others := len(finished) - len(candidates):
        console.say(f"no candidates: {others} runs that keep no {config.checkpoint}")
    if not candidates:
        raise SelectionError(
            f"no finished run keeps a {config.checkpoint}: train one, or mend --checkpoint"
        )
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        validation.write(folder / validation.NAME, _rows(candidates, config.checkpoint, folder))
        wanted = {name: getattr(config, name) for name in PolicyOptions.model_fields}
        select_best.main(
            SelectConfig(
                **wanted, checkpoint_dir=folder, output_dir=config.output_dir, plot=config.plot
            )
        )
    _show(config.output_dir)
    return config.output_dir


def _told(config: SelectRunsConfig) -> Sequence[Told]:
    if (config.experiment is None) == (not config.runs):
        raise ConfigError("give --experiment or --runs: one says which runs are candidates")
    if config.experiment is not None:
        return tracking.runs_of(config.experiment)
    return [tracking.run_of(run_id) for run_id in dict.fromkeys(config.runs)]


def _is_finished(run: Told) -> bool:
    """Say whether a run may be chosen, and in the terminal why one may not."""
    if not run.is_deleted and run.status == "FINISHED":
        return True
    why = "was deleted" if run.is_deleted else f"is {run.status.lower()}"
    console.say(f"no candidate: {run} {why}")
    return False


def _rows(candidates: Sequence[Told], name: str, folder: Path) -> list[Row]:
    """Fetch checkpoints into a folder, each named after its run; give the table's rows."""
    paths = [_fetch(run.run_id, name, folder) for run in candidates]
    metrics = [_metrics(run, path) for run, path in zip(candidates, paths, strict=True)]
    shared = set.intersection(*(set(one) for one in metrics))
    lost = sorted({metric for one in metrics for metric in one} - shared)
    if lost:
        console.say(f"not of every candidate, and left out: {', '.join(lost)}")
    return [
        Row(
            step=number,
            epoch=None,
            checkpoint=path.name,
            sha256=files.sha256_file(path),
            scores={metric: one[metric] for metric in metrics[0] if metric in shared},
        )
        for number, (path, one) in enumerate(zip(paths, metrics, strict=True), start=1)
    ]


def _fetch(run_id: str, name: str, folder: Path) -> Path:
    target = folder / f"{Path(name).stem}-{run_id}.pt"
    with TemporaryDirectory(dir=folder) as scratch:
        (tracking.fetch(run_id, [name], Path(scratch)) / name).rename(target)
    return target


def _metrics(run: Told, path: Path) -> Mapping[str, float]:
    """Give a run's metrics: of PolySpace's own checkpoints those that the file itself holds."""
    scores = own.scores(path)
    logged = {name: value for name, value in run.metrics.items() if not SERIES.fullmatch(name)}
    return {**logged, **scores} if scores else run.metrics


def _show(folder: Path) -> None:
    """Show the README with the Prefect run, if this is part of one."""
    artefacts.text("selection", (folder / "README.md").read_text(encoding="utf-8"))

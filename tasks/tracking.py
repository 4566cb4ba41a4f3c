"""What MLflow is told of a run, and how it finds its way to Prefect and back.

Beside `registry` and `served`, which know its models, the only file that imports mlflow. Runs are
named by their ids, never by MLflow's "active run", which belongs to one thread. A tracker that
fails costs a line of warning and no training.
"""

import inspect
import json
import logging
import os
import re
import sqlite3
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TypeVar

from prefect.artifacts import create_link_artifact
from prefect.runtime import flow_run
from pydantic import JsonValue

from polyspace.config import Config
from polyspace.console import Advance
from polyspace.engine.loop import Step
from polyspace.errors import RecordError
from tasks import addresses, figures
from tasks.lineage import Source

# mlflow reads these while it is imported: nothing is sent home, no pickle is ever loaded, a server
# that is down is given up after seconds, not minutes, and what fails is said here, in one line.
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "CRITICAL")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NOTE

R = TypeVar("R")

FAILURES = (MlflowException, OSError, sqlite3.Error)
"""What MLflow raises when it, its server or its database fails."""

logger = logging.getLogger(__name__)


class PrunedError(Exception):
    """A run that is ended before its end because others do better; no failure."""


@dataclass(frozen=True)
class Tracker:
    """Where runs are recorded; a small value that may be handed to tasks and threads."""

    enabled: bool = True
    parent_id: str | None = None
    """The MLflow run that others nest under; None: they stand on their own."""


ALONE = Tracker()
"""Runs that stand on their own."""


@dataclass(frozen=True)
class Other:
    """What is known of a run that somebody else wrote."""

    tags: Mapping[str, str]
    is_deleted: bool


@dataclass
class Record:
    """One MLflow run that is being written; once MLflow fails, it is left alone."""

    client: MlflowClient | None
    run_id: str | None

    def tell(self, action: Callable[[MlflowClient, str], object]) -> None:
        """Do one thing to the run, if there is one; a failure is a warning and the last try."""
        if self.client is None or self.run_id is None:
            return
        try:
            action(self.client, self.run_id)
        except FAILURES as error:
            self.client = None
            _warn(error)

    def params(self, config: Config) -> None:
        """Record every setting, nested ones with dots."""
        values = figures.flatten(config.model_dump(mode="json"), ".")
        params = [Param(name, _text(value)) for name, value in values.items()]
        self.tell(lambda client, run_id: client.log_batch(run_id, params=params))

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Record figures, all of one step at a time."""
        now = time.time_ns() // 1_000_000
        metrics = [Metric(name, value, now, step) for name, value in values.items()]
        self.tell(lambda client, run_id: client.log_batch(run_id, metrics=metrics))

    def tags(self, values: Mapping[str, str]) -> None:
        """Record words."""
        tags = [RunTag(name, value) for name, value in values.items()]
        self.tell(lambda client, run_id: client.log_batch(run_id, tags=tags))

    def sources(self, sources: Iterable[Source], dataset: str) -> None:
        """Record what the run reads as MLflow's data sets: name, digest and place."""
        inputs = [_input(source, dataset) for source in sources]
        self.tell(lambda client, run_id: client.log_inputs(run_id, inputs))

    def artefacts(self, paths: Iterable[Path]) -> None:
        """Keep copies of files."""
        for path in paths:
            self.tell(lambda client, run_id, path=path: client.log_artifact(run_id, str(path)))

    def others(self, tag: str, value: str) -> "list[Other] | None":
        """Find all other runs that have a tag: of any experiment, ended or not, deleted ones too.

        Returns:
            None where nobody can be asked: tracking is off, or MLflow failed.
        """
        found: list[Other] = []
        self.tell(lambda client, run_id: found.extend(_others(client, run_id, tag, value)))
        return None if self.client is None else found

    def end(self, status: str) -> None:
        """Close the run as FINISHED, FAILED or KILLED."""
        self.tell(lambda client, run_id: client.set_terminated(run_id, status))


@contextmanager
def run(
    name: str, config: Config, dataset: str, tracker: Tracker, *, earlier: str | None = None
) -> Generator[Record]:
    """Keep a run open while the block runs; how the block ends is how the run ends.

    Args:
        name: Of the run.
        config: Recorded as params; its docstring is the run's description.
        dataset: The experiment is called after it.
        tracker: Where to record.
        earlier: The run that this one goes on with, if there still is one of that id.
    """
    record = _reopen(earlier, tracker) if earlier else None
    if record is None:
        record = _open(name, config, dataset, tracker)
        record.params(config)
    try:
        yield record
    except PrunedError as pruned:
        record.tags({"pruned": str(pruned)})
        record.end("KILLED")
        raise
    except Exception as error:
        record.tags({"error": f"{type(error).__name__}: {error}"})
        record.end("FAILED")
        raise
    except BaseException:
        record.end("KILLED")
        raise
    record.end("FINISHED")


@contextmanager
def pipeline(
    name: str, config: Config, dataset: str, *, enabled: bool, earlier: str | None = None
) -> Generator[Tracker]:
    """Keep the run open that the stages' runs nest under."""
    with run(name, config, dataset, Tracker(enabled), earlier=earlier) as record:
        yield Tracker(enabled=record.client is not None, parent_id=record.run_id)


def resume(tracker: Tracker) -> Record:
    """Give the record of the run that stages nest under, to add what is known later."""
    if not tracker.enabled or tracker.parent_id is None:
        return Record(None, None)
    try:
        return Record(_connect(), tracker.parent_id)
    except FAILURES as error:
        _warn(error)
        return Record(None, None)


def fetch(run_id: str, names: Iterable[str], into: Path) -> Path:
    """Copy files that a run kept into a folder; give the folder.

    Raises:
        RecordError: There is no such run, it was deleted, or it kept no such file.
    """
    try:
        client = _connect()
        if client.get_run(run_id).info.lifecycle_stage == "deleted":
            raise RecordError(
                f"MLflow run {run_id} was deleted, and its files may go at any time: restore it "
                f"(mlflow runs restore --run-id {run_id}), or give the evaluation's folder"
            )
        for name in names:
            client.download_artifacts(run_id, name, str(into))
    except FAILURES as error:
        raise RecordError(
            f"MLflow run {run_id} can't be compared ({first_words(error)}): give the id of an "
            f"evaluation's run, or its folder"
        ) from error
    return into


def follow(record: Record, work: Generator[Advance, None, R]) -> Generator[Advance, None, R]:
    """Pass on what a stage yields and returns; record what each epoch of steps came to."""
    epoch: list[Step] = []
    try:
        while True:
            try:
                advance = next(work)
            except StopIteration as end:
                return end.value
            if isinstance(advance, Step):
                if epoch and advance.epoch != epoch[-1].epoch:
                    _record_epoch(record, epoch)
                    epoch = []
                epoch.append(advance)
            yield advance
    finally:
        # However it ends: the last epoch says why a run was given up.
        _record_epoch(record, epoch)


def first_words(error: Exception) -> str:
    """Give the beginning of what MLflow said, in one line."""
    return " ".join(str(error).split())[:200]


def _connect() -> MlflowClient:
    """Open the tracking database or server.

    MLflow tries for minutes to open a local database that it can't: sqlite itself says so at once.
    """
    uri = addresses.tracking_uri()
    if uri.startswith("sqlite:///"):
        database = Path(uri.removeprefix("sqlite:///"))
        database.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("pragma user_version").fetchone()
    return MlflowClient(uri)


def _open(name: str, config: Config, dataset: str, tracker: Tracker) -> Record:
    if not tracker.enabled:
        return Record(None, None)
    try:
        client = _connect()
        experiment_id = _experiment(client, dataset)
        tags = resolve_tags({MLFLOW_RUN_NOTE: _note(config), **_links(tracker)})
        run_id = client.create_run(experiment_id, run_name=name, tags=tags).info.run_id
    except FAILURES as error:
        _warn(error)
        return Record(None, None)
    _link_back(name, addresses.mlflow_run(experiment_id, run_id))
    return Record(client, run_id)


def _reopen(run_id: str, tracker: Tracker) -> Record | None:
    """Open a run again, with the settings that it has; None if there is none of that id."""
    if not tracker.enabled:
        return None
    try:
        client = _connect()
        client.update_run(run_id, "RUNNING")
        if "error" in client.get_run(run_id).data.tags:
            client.delete_tag(run_id, "error")
    except FAILURES:
        return None
    return Record(client, run_id)


def _experiment(client: MlflowClient, dataset: str) -> str:
    """Find the data set's experiment, or make it: one that the UI shows as model training."""
    name = f"polyspace/{dataset}"
    if found := client.get_experiment_by_name(name):
        return found.experiment_id
    return client.create_experiment(
        name,
        artifact_location=addresses.artefact_location(name),
        tags={"mlflow.experimentKind": "custom_model_development"},
    )


def _others(client: MlflowClient, run_id: str, tag: str, value: str) -> Generator[Other]:
    """Search page by page; a page is 1,000 runs."""
    experiments = [e.experiment_id for e in client.search_experiments(ViewType.ALL)]
    token = None
    while True:
        page = client.search_runs(
            experiments, f"tags.`{tag}` = '{value}'", ViewType.ALL, page_token=token
        )
        for run in page:
            if run.info.run_id != run_id:
                yield Other(run.data.tags, run.info.lifecycle_stage == "deleted")
        token = page.token
        if not token:
            return


def _links(tracker: Tracker) -> dict[str, str]:
    """Tie a run to the run above it and to the Prefect run that it is part of."""
    links: dict[str, str] = {}
    if tracker.parent_id:
        links[MLFLOW_PARENT_RUN_ID] = tracker.parent_id
    if flow_run.id:
        links["prefect.flow_run"] = addresses.prefect_run(flow_run.id)
    return links


def _note(config: Config) -> str:
    """Describe a run in Markdown: what it did, and where Prefect shows it."""
    words = inspect.cleandoc(type(config).__doc__ or "")
    if not flow_run.id:
        return words
    return (
        f"{words}\n\n[Flow run {flow_run.name}]({addresses.prefect_run(flow_run.id)}) in Prefect."
    )


def _link_back(name: str, link: str) -> None:
    """Leave the way to the MLflow run with the Prefect run, if this is part of one."""
    if flow_run.id:
        key = f"mlflow-{re.sub('[^a-z0-9]+', '-', name.lower())}"
        create_link_artifact(link=link, link_text=f"{name} in MLflow", key=key)


def _input(source: Source, dataset: str) -> DatasetInput:
    """Put a source in MLflow's terms; its digest is short, for the pages that show it."""
    entry = Dataset(
        name=f"{dataset} {source.name}",
        digest=source.digest[:12],
        source_type="local",
        source=json.dumps({"uri": str(source.path)}),
        profile=json.dumps({"sha256": source.digest}),
    )
    return DatasetInput(entry, [InputTag("mlflow.data.context", source.name)])


def _record_epoch(record: Record, steps: Sequence[Step]) -> None:
    """Record an epoch: each loss as the mean over steps that moved weights, and the hold-out."""
    if not steps:
        return
    moved = [step for step in steps if not step.skipped]
    last = steps[-1]
    record.metrics(
        {
            f"loss/{name}": fmean(step.losses[name] for step in moved if name in step.losses)
            for name in dict.fromkeys(name for step in moved for name in step.losses)
        }
        | {f"hold_out/{name}": value for name, value in last.scores.items()}
        | {"lr": last.lr, "skipped_steps": len(steps) - len(moved)},
        step=last.epoch,
    )


def _text(value: JsonValue) -> str:
    """Write a setting as a person would."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _warn(error: Exception) -> None:
    """Say in one line that the tracker failed, and that nothing else did."""
    logger.warning("MLflow failed, the run goes on without it: %s", first_words(error))

"""A run in MLflow, made once: found again by its tag where the answer to its creation was lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from tasks import addresses
from tasks.tracking import finding, library, views
from tasks.tracking.client import is_refusal
from tasks.tracking.lines import Begin
from tasks.tracking.state import State

E = TypeVar("E")

PARENT = "mlflow.parentRunId"
"""Tag by which MLflow nests a run."""
BATCH = 100
"""Params or tags that MLflow takes at a time."""


def begin(
    client: library.MlflowClient,
    run_id: str,
    line: Begin,
    state: State,
    parent: str | None,
    save: Callable[[], None],
) -> None:
    """Create a run, or go on with it; the state knows its ids then.

    Args:
        client: Of the server.
        run_id: The id that is ours.
        line: How it begins.
        state: Changed.
        parent: MLflow's id of the run above, if MLflow knows it.
        save: Makes the state durable; called before MLflow is asked for a run, so that whoever
            goes on after a crash looks for it first.

    Raises:
        MlflowException: MLflow failed; the same may be done again.
    """
    state.experiment_id = experiment(client, line)
    state.mlflow_id = _present(client, run_id, line, state)
    if state.mlflow_id is None:
        state.attempts += 1
        save()
        state.mlflow_id = _create(client, run_id, line, state.experiment_id, parent)
    elif line.again:
        _go_on(client, run_id, state.mlflow_id)
    mlflow_id = state.mlflow_id
    state.orphan = line.parent if parent is None else None
    params = [library.Param(name, value) for name, value in line.params.items()]
    refused = in_batches(lambda some: client.log_batch(mlflow_id, params=some), params)
    # A run that goes on keeps the settings that it has.
    state.refused += [] if line.again else [f"param {param.key}" for param in refused]


def in_batches(send: Callable[[list[E]], object], entities: list[E], size: int = BATCH) -> list[E]:
    """Send many, some at a time, and one by one where MLflow refuses some; give the refused."""
    refused: list[E] = []
    for start in range(0, len(entities), size):
        some = entities[start : start + size]
        try:
            send(some)
        except library.MlflowException as error:
            if not is_refusal(error):
                raise
            refused += some if len(some) == 1 else in_batches(send, some, 1)
    return refused


def adopt(client: library.MlflowClient, run_id: str, state: State) -> None:
    """Take up a run that another machine began, if MLflow knows it."""
    found = finding.resolve(client, run_id)
    if found is not None:
        state.mlflow_id, state.experiment_id = found.info.run_id, found.info.experiment_id


def tie(client: library.MlflowClient, state: State, parent: str) -> None:
    """Nest a run that was created before MLflow knew the run above it."""
    if state.mlflow_id:
        client.set_tag(state.mlflow_id, PARENT, parent)
    state.orphan = None


def drop_twins(client: library.MlflowClient, run_id: str, state: State) -> None:
    """Delete runs that MLflow made when its answer came too late to be heard."""
    for twin in finding.tagged_with(client, finding.RUN, run_id):
        if twin.info.run_id != state.mlflow_id and not finding.is_deleted(twin):
            client.delete_run(twin.info.run_id)


def experiment(client: library.MlflowClient, line: Begin) -> str:
    """Find the data set's experiment, or make it: one that the UI shows as model training."""
    tags = views.experiment_tags(line.experiment.rpartition("/")[2])
    if found := client.get_experiment_by_name(line.experiment):
        _furnish(client, found, tags)
        return found.experiment_id
    try:
        return client.create_experiment(line.experiment, artifact_location=line.location, tags=tags)
    except library.MlflowException as error:
        found = client.get_experiment_by_name(line.experiment) if is_refusal(error) else None
        if found is None:
            raise
        return found.experiment_id


def _furnish(
    client: library.MlflowClient, found: library.Experiment, tags: Mapping[str, str]
) -> None:
    """Bring PolySpace's view up to date; whatever else people have written stays."""
    try:
        for name, value in tags.items():
            if name not in found.tags or (name == addresses.VIEW_TAG and found.tags[name] != value):
                client.set_experiment_tag(found.experiment_id, name, value)
    except library.MlflowException as error:
        if not is_refusal(error):  # Whoever may not change the experiment may still add runs.
            raise


def _present(client: library.MlflowClient, run_id: str, line: Begin, state: State) -> str | None:
    """Find the run; one that was deleted counts as none."""
    if state.mlflow_id and not line.again:
        return state.mlflow_id
    if state.attempts == 0 and not line.again:
        return None
    found = finding.resolve(client, state.mlflow_id or run_id)
    if found is None or finding.is_deleted(found):
        return None
    return found.info.run_id


def _create(
    client: library.MlflowClient, run_id: str, line: Begin, experiment_id: str, parent: str | None
) -> str:
    tags = {**line.tags, finding.RUN: run_id}
    if parent:
        tags[PARENT] = parent
    run = client.create_run(experiment_id, line.at_ms, tags, run_name=line.name)
    return run.info.run_id


def _go_on(client: library.MlflowClient, run_id: str, mlflow_id: str) -> None:
    client.update_run(mlflow_id, "RUNNING")
    client.log_batch(mlflow_id, tags=[library.RunTag(finding.RUN, run_id)])
    if "error" in client.get_run(mlflow_id).data.tags:
        client.delete_tag(mlflow_id, "error")

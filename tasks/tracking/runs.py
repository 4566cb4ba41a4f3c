"""Runs that open, nest, go on and end, and the way between MLflow and Prefect.

Runs are named by ids that are made here, so that none waits for a server, and never by MLflow's
"active run", which belongs to one thread.
"""

import inspect
import re
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import copy_context
from importlib.metadata import version
from threading import Thread
from uuid import uuid4

from prefect.runtime import flow_run
from pydantic import JsonValue

from polyspace.config import Config
from tasks import addresses, artefacts, figures, names
from tasks.tracking import context, sender, state, system
from tasks.tracking.lines import Begin
from tasks.tracking.records import Record, now_ms
from tasks.tracking.state import State
from tasks.tracking.values import PrunedError, Tracker

LINK_SECONDS = 10.0
"""How long the end of a run waits for its link."""


@contextmanager
def run(
    name: str,
    config: Config,
    dataset: str,
    tracker: Tracker,
    *,
    title: str = "",
    earlier: str | None = None,
) -> Generator[Record]:
    """Keep a run open while the block runs; how the block ends is how the run ends.

    Args:
        name: What is done; the stage.
        config: Recorded as params; its docstring is the run's description.
        dataset: The experiment is called after it.
        tracker: Where to record.
        title: What the run is called, in Prefect, too; the name, unless given.
        earlier: The run that this one goes on with, by MLflow's id or ours; where MLflow has none
            of that id, or it was deleted, it is made anew.
    """
    record = _open(name, config, dataset, tracker, title=title or name, earlier=earlier)
    linked = _linked(name, title or name, record, tracker)
    with linked, _ended(record), _machine(record):
        yield record


@contextmanager
def pipeline(
    name: str, config: Config, dataset: str, *, enabled: bool, earlier: str | None = None
) -> Generator[Tracker]:
    """Keep the run open that the stages' runs nest under."""
    title = names.of(name, config)
    with run(name, config, dataset, Tracker(enabled), title=title, earlier=earlier) as record:
        yield under(record)


def under(record: Record) -> Tracker:
    """Give the tracker of runs that nest under a run."""
    return Tracker(enabled=record.is_kept, parent_id=record.local_id)


def resume(tracker: Tracker) -> Record:
    """Give the record of the run that stages nest under, to add what is known later."""
    if not tracker.enabled or tracker.parent_id is None:
        return Record()
    return Record.of(state.local_id(sender.current().folder, tracker.parent_id))


def _machine(record: Record) -> AbstractContextManager[None]:
    if not record.is_kept:
        return nullcontext()
    return system.watched(record.of_machine, has_figures=lambda: record.has_figures)


def _open(
    name: str, config: Config, dataset: str, tracker: Tracker, *, title: str, earlier: str | None
) -> Record:
    if not tracker.enabled:
        return Record()
    local_id = state.local_id(sender.current().folder, earlier) if earlier else uuid4().hex
    record = Record.of(local_id, fresh=earlier is None)
    experiment = f"polyspace/{dataset}"
    begin = Begin(
        name=title,
        experiment=experiment,
        location=addresses.artefact_location(experiment),
        tags={**context.tags(), "mlflow.note.content": _note(config), **_about(name, dataset)},
        params=_params(config),
        parent=tracker.parent_id,
        again=earlier is not None,
        at_ms=now_ms(),
    )
    record.tell(begin)
    return record


def _about(name: str, dataset: str) -> dict[str, str]:
    """Say what a run is, for whoever filters or groups by it, and tie it to its Prefect run."""
    tags = {
        "polyspace.stage": re.split(r"[,\s]", name)[0],
        "polyspace.dataset": dataset,
        "polyspace.version": version("polyspace"),
    }
    if flow_run.id:
        tags["prefect.flow_run"] = addresses.prefect_run(flow_run.id)
    return tags


def _params(config: Config) -> dict[str, str]:
    """Give every setting, nested ones with dots."""
    values = figures.flatten(config.model_dump(mode="json"), ".")
    return {name: _text(value) for name, value in values.items()}


def _note(config: Config) -> str:
    """Describe a run in Markdown: what it did, and where Prefect shows it."""
    words = inspect.cleandoc(type(config).__doc__ or "")
    if not flow_run.id:
        return words
    return (
        f"{words}\n\n[Flow run {flow_run.name}]({addresses.prefect_run(flow_run.id)}) in Prefect."
    )


@contextmanager
def _ended(record: Record) -> Generator[None]:
    """End the record as the block ends."""
    try:
        yield
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
def _linked(name: str, title: str, record: Record, tracker: Tracker) -> Generator[None]:
    """Link the MLflow run in Prefect as soon as MLflow has it, beside the block; at last, after it.

    MLflow has it seconds later, when it has been imported and asked, and no stage waits for that.
    """
    if not flow_run.id or not record.is_kept:
        yield
        return
    linked: list[bool] = []
    seen = copy_context()  # It says which flow run and which task this is.

    def link() -> None:
        # httpx says so of a client that the run has closed at its end, which this may outlive.
        with suppress(RuntimeError):
            linked.append(seen.run(_link_back, name, title, record, tracker))

    thread = Thread(target=link, name="link", daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(LINK_SECONDS)
    if not any(linked):
        _link_back(name, title, record, tracker)


def _link_back(name: str, title: str, record: Record, tracker: Tracker) -> bool:
    """Leave the way to the MLflow run with the Prefect run; False: MLflow hasn't made it yet."""
    record.flush()
    found = record.sending.state if record.sending else State()
    if found.mlflow_id is None or found.experiment_id is None:
        return False
    link = addresses.mlflow_run(found.experiment_id, found.mlflow_id)
    artefacts.link(f"mlflow {name}", link, f"{title} in MLflow")
    if tracker.parent_id is None:
        address = addresses.mlflow_experiment(found.experiment_id)
        artefacts.link("mlflow experiment", address, "all runs of the data set in MLflow")
    return True


def _text(value: JsonValue) -> str:
    """Write a setting as a person would."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

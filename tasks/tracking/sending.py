"""One run's way from its spool to MLflow: each line at least once, and to no more effect than once.

Params, tags, data sets and files are set by name. A metric is looked up in what was sent, and,
where an answer was lost, in what MLflow has.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path

from polyspace.files import sha256_file
from tasks.tracking import creating, library, state
from tasks.tracking.client import failures, is_refusal
from tasks.tracking.lines import Artefact, Begin, End, Input, Inputs, Line, Metrics, Tags
from tasks.tracking.spool import Read, Spool

MOST_METRICS = 500
"""Sent at a time; MLflow takes 1,000."""
LARGEST = 1.7976931348623157e308
"""What MLflow's database has for infinity."""

Identity = tuple[str, int, str]
"""A metric by key, step and value as it is written, nan included."""


class UnknownRunError(Exception):
    """A run that was begun elsewhere, and that MLflow doesn't know yet."""


class Sending:
    """One run on its way; the same one for as long as a process sends it."""

    def __init__(
        self, spool: Spool, parent_of: Callable[[str], str | None], *, fresh: bool
    ) -> None:
        """Take a run.

        Args:
            spool: What it has told.
            parent_of: Gives MLflow's id of a run of the same spool; None: it has none yet.
            fresh: The run begins here and now, so that MLflow can't have any of it.
        """
        self.spool, self.state = spool, state.read(spool)
        self._parent_of = parent_of
        self._unsure = not fresh
        self._seen: set[Identity] = set()
        self._seen_up_to = 0
        self.has_figures = False
        """Whether figures of the run's own were told."""
        self.stuck = ""
        """Why MLflow can't take it as things are; empty: it can."""
        if not fresh:
            self.state.attempts = max(1, self.state.attempts)

    def pending(self) -> bool:
        """Say whether something waits."""
        return self.spool.end() > self.state.sent or bool(self.spool.unsaved())

    def send(self, client: library.MlflowClient, moved: Callable[[], None] = lambda: None) -> bool:
        """Send what waits; False: another process is sending it.

        Args:
            client: Of the server.
            moved: Called when some of it has arrived.

        Raises:
            MlflowException: MLflow failed, and the rest waits; so do OSError and sqlite3.Error.
            UnknownRunError: MLflow doesn't know the run yet.
        """
        with self.spool.held() as mine:
            if mine:
                self._catch_up()
                try:
                    self._send(client, moved)
                except failures():
                    self._unsure = True
                    raise
                self.stuck = ""
            return mine

    def _send(self, client: library.MlflowClient, moved: Callable[[], None]) -> None:
        for batch in _batches(self.spool.read(self.state.sent)):
            self._tell(client, [read.line for read in batch if read.line])
            self.state.sent = self._seen_up_to = batch[-1].end
            state.write(self.spool, self.state)
            moved()
        for line in self.spool.unsaved():
            self._tell(client, [line])
            self.spool.forget([line])
            moved()

    def _catch_up(self) -> None:
        """Learn what other processes, or this one in an earlier life, have sent."""
        known = state.read(self.spool)
        if known.sent >= self.state.sent and known.mlflow_id:
            self.state = known
        for read in self.spool.read(self._seen_up_to) if self._seen_up_to < known.sent else ():
            if read.end > known.sent:
                break
            if isinstance(read.line, Metrics):
                self._seen |= {_identity(metric) for metric in _metrics(read.line)}
        self._seen_up_to = max(self._seen_up_to, known.sent)

    def _tell(self, client: library.MlflowClient, batch: Sequence[Line]) -> None:
        if not batch:
            return
        first = batch[0]
        if isinstance(first, Begin):
            parent = self._parent_of(first.parent) if first.parent else None
            save = lambda: state.write(self.spool, self.state)  # noqa: E731
            creating.begin(client, self.spool.run_id, first, self.state, parent, save)
            return
        if self.state.mlflow_id is None:
            creating.adopt(client, self.spool.run_id, self.state)
        if self.state.mlflow_id is None:
            raise UnknownRunError(
                f"run {self.spool.run_id} was begun on another machine, and MLflow doesn't know it "
                f"yet"
            )
        self._set(client, self.state.mlflow_id, first, batch)

    def _set(
        self, client: library.MlflowClient, run: str, first: Line, batch: Sequence[Line]
    ) -> None:
        match first:
            case Metrics():
                self._metrics(client, run, [line for line in batch if isinstance(line, Metrics)])
            case Tags():
                self._tags(client, run, first)
            case Inputs():
                inputs = [_input(one) for one in first.inputs]
                self._refusable("data sets", lambda: client.log_inputs(run, inputs))
            case Artefact():
                self._artefact(client, run, first)
            case End():
                self._end(client, run, first)
            case Begin():
                pass

    def _metrics(self, client: library.MlflowClient, run: str, lines: Sequence[Metrics]) -> None:
        told = {_identity(metric): metric for line in lines for metric in _metrics(line)}
        new = {identity: metric for identity, metric in told.items() if identity not in self._seen}
        if self._unsure and new:
            there = _there(client, run, {key for key, _, _ in new})
            new = {identity: metric for identity, metric in new.items() if identity not in there}
        refused = creating.in_batches(
            lambda some: client.log_batch(run, metrics=some), list(new.values()), MOST_METRICS
        )
        self._note(f"metric {metric.key} of step {metric.step}" for metric in refused)
        self._unsure = False
        self._seen |= told.keys()

    def _tags(self, client: library.MlflowClient, run: str, line: Tags) -> None:
        tags = [library.RunTag(name, value) for name, value in line.values.items()]
        refused = creating.in_batches(lambda some: client.log_batch(run, tags=some), tags)
        self._note(f"tag {tag.key}" for tag in refused)

    def _artefact(self, client: library.MlflowClient, run: str, line: Artefact) -> None:
        path = Path(line.path)
        held = self.spool.path.parent / line.held if line.held else None
        for place in (path, held):
            if place is not None and _is(place, line.sha256):
                self._refusable(f"file {path}", lambda p=place: client.log_artifact(run, str(p)))
                break
        else:
            self._note([f"file {path}, which is gone or another one by now"])
        if held is not None:
            _drop(held)

    def _end(self, client: library.MlflowClient, run: str, line: End) -> None:
        parent = self._parent_of(self.state.orphan) if self.state.orphan else None
        if parent:
            creating.tie(client, self.state, parent)
        if self.state.attempts > 1:
            creating.drop_twins(client, self.spool.run_id, self.state)
        if self.state.refused:
            words = "; ".join(self.state.refused)
            client.set_tag(run, "polyspace.refused", words[:5000])
        self._refusable("end", lambda: client.set_terminated(run, line.status, line.at_ms))

    def _refusable(self, what: str, action: Callable[[], object]) -> None:
        """Do one thing; a refusal is noted, and doesn't keep the rest from MLflow."""
        try:
            action()
        except failures() as error:
            if not is_refusal(error):
                raise
            self._note([what])

    def _note(self, refused: Iterable[str]) -> None:
        self.state.refused = list(dict.fromkeys([*self.state.refused, *refused]))


def _batches(reads: Iterable[Read]) -> Generator[list[Read]]:
    """Gather metrics that follow each other; everything else goes one by one."""
    batch: list[Read] = []
    count = 0
    for read in reads:
        values = len(read.line.values) if isinstance(read.line, Metrics) else None
        if batch and (values is None or count + values > MOST_METRICS):
            yield batch
            batch, count = [], 0
        if values is None:
            yield [read]
        else:
            batch.append(read)
            count += values
    if batch:
        yield batch


def _metrics(line: Metrics) -> list[library.Metric]:
    return [
        library.Metric(name, value, line.at_ms, line.step) for name, value in line.values.items()
    ]


def _identity(metric: library.Metric) -> Identity:
    value = metric.value
    if math.isinf(value):
        value = math.copysign(LARGEST, value)
    return metric.key, metric.step, repr(value)


def _there(client: library.MlflowClient, run: str, keys: Iterable[str]) -> set[Identity]:
    """Give what MLflow has of some metrics."""
    histories = [client.get_metric_history(run, key) for key in sorted(keys)]
    return {_identity(metric) for history in histories for metric in history}


def _input(entry: Input) -> library.DatasetInput:
    """Put a source in MLflow's terms; its digest is short, for the pages that show it."""
    dataset = library.Dataset(
        name=f"{entry.dataset} {entry.name}",
        digest=entry.digest[:12],
        source_type="local",
        source=json.dumps({"uri": entry.path}),
        profile=json.dumps({"sha256": entry.digest}),
    )
    return library.DatasetInput(dataset, [library.InputTag("mlflow.data.context", entry.name)])


def _is(path: Path, sha256: str) -> bool:
    try:
        return sha256_file(path) == sha256
    except OSError:
        return False


def _drop(held: Path) -> None:
    """Give up a file's second link, and the folders that are empty then."""
    held.unlink(missing_ok=True)
    for folder in held.parents[:2]:
        try:
            folder.rmdir()
        except OSError:
            return

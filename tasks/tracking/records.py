"""The record of a run: what it is told is on disk at once, and with MLflow when that can be."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from polyspace.files import sha256_file
from tasks.lineage import Source
from tasks.tracking import finding, library
from tasks.tracking import sender as senders
from tasks.tracking.client import connect, failures, first_words
from tasks.tracking.lines import Artefact, End, Input, Inputs, Line, Metrics, Tags
from tasks.tracking.sender import Sender
from tasks.tracking.sending import Sending
from tasks.tracking.values import Other

HELD = "files"
"""Folder of the spool with second links to files that were told of."""
ASK_SECONDS = 5.0
"""How long somebody waits who needs MLflow's answer now."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Record:
    """One run that is being written; None: tracking is off, and whatever is told is dropped."""

    sender: Sender | None = None
    sending: Sending | None = None

    @classmethod
    def of(cls, local_id: str, *, fresh: bool = False) -> Record:
        """Give the record of a run by the id that is ours."""
        found = senders.current()
        return cls(found, found.sending(local_id, fresh=fresh))

    @property
    def is_kept(self) -> bool:
        """Whether anybody listens."""
        return self.sending is not None

    @property
    def local_id(self) -> str | None:
        """The id that the run has from its beginning, on this machine and as a tag in MLflow."""
        return self.sending.spool.run_id if self.sending else None

    @property
    def run_id(self) -> str | None:
        """MLflow's id, if it is known by now, or else ours; `fetch` and `resume` take either."""
        return self.mlflow_id or self.local_id

    @property
    def mlflow_id(self) -> str | None:
        """MLflow's id, if it is known by now."""
        return self.sending.state.mlflow_id if self.sending else None

    def tell(self, line: Line) -> None:
        """Tell something; it is written here, and sent when that can be."""
        if self.sender and self.sending:
            self.sending.spool.append(line)
            self.sender.wake()

    @property
    def has_figures(self) -> bool:
        """Whether the run has told figures of its own in this process."""
        return self.sending is not None and self.sending.has_figures

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Record figures, all of one step at a time."""
        if self.sending:
            self.sending.has_figures = True
        self.of_machine(values, step, now_ms())

    def of_machine(self, values: Mapping[str, float], step: int, at_ms: int) -> None:
        """Record figures that aren't the run's own, and when they were true."""
        figures = {name: float(value) for name, value in values.items()}
        self.tell(Metrics(values=figures, step=step, at_ms=at_ms))

    def tags(self, values: Mapping[str, str]) -> None:
        """Record words."""
        self.tell(Tags(values=dict(values)))

    def sources(self, sources: Iterable[Source], dataset: str) -> None:
        """Record what the run reads as MLflow's data sets: name, digest and place."""
        inputs = [
            Input(name=one.name, dataset=dataset, path=str(one.path), digest=one.digest)
            for one in sources
        ]
        self.tell(Inputs(inputs=tuple(inputs)))

    def artefacts(self, paths: Iterable[Path]) -> None:
        """Keep copies of files as they are now; one that can't be read costs a warning."""
        for path in paths if self.is_kept else ():
            try:
                self.tell(self._artefact(path.absolute()))
            except OSError as error:
                logger.warning("%s isn't kept: %s", path, error.strerror or error)

    def others(self, tag: str, value: str) -> list[Other] | None:
        """Find all other runs that have a tag: of any experiment, ended or not, deleted ones too.

        Returns:
            None where nobody can be asked: tracking is off, or MLflow fails or takes too long.
        """
        if not self.flush(ASK_SECONDS):
            return None
        try:
            found = finding.tagged_with(connect(), tag, value)
        except failures() as error:
            logger.warning("MLflow can't be asked: %s", first_words(error))
            return None
        return [
            Other(run.data.tags, finding.is_deleted(run))
            for run in found
            if run.info.run_id != self.mlflow_id
        ]

    def connected(self) -> tuple[library.MlflowClient, str] | None:
        """Give a client and MLflow's id of the run; None: tracking is off, or MLflow fails."""
        if not self.flush(ASK_SECONDS) or self.mlflow_id is None:
            return None
        return connect(), self.mlflow_id

    def flush(self, patience_seconds: float = senders.PATIENCE_SECONDS) -> bool:
        """Wait until MLflow has everything so far; False: it hasn't, or nobody listens."""
        if self.sender is None or self.sending is None:
            return False
        return self.sender.flush(self.sending, patience_seconds)

    def end(self, status: Literal["FINISHED", "FAILED", "KILLED"]) -> None:
        """Close the run, and wait for what is on its way; what can't be sent stays here."""
        self.tell(End(status=status, at_ms=now_ms()))
        if self.sending:
            self.sending.spool.close()
        self.flush()

    def _artefact(self, path: Path) -> Artefact:
        digest = sha256_file(path)
        held = Path(HELD, str(self.local_id), digest[:16], path.name)
        place = senders.current().folder / held
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.exists():
                os.link(path, place)
        except OSError:  # Another disk, or one without links: the path has to do.
            return Artefact(path=str(path), held=None, sha256=digest)
        return Artefact(path=str(path), held=str(held), sha256=digest)


def now_ms() -> int:
    """Give the time as MLflow wants it."""
    return time.time_ns() // 1_000_000

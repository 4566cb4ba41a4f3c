"""How far a stage is, as an artefact of its flow run: told by a thread, every few seconds.

The stage itself only leaves its last sign of life where the thread finds it. A server that doesn't
answer costs one warning, and two seconds at most at the end. A stage that is over before the first
look leaves nothing.
"""

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import copy_context
from typing import TypeVar
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.utilities.context import get_task_and_flow_run_ids

from polyspace import console
from polyspace.console import Advance
from polyspace.ranks import launched
from tasks import artefacts

INTERVAL_SECONDS = 5.0
"""Between two updates, and before the first."""
FAREWELL_SECONDS = 2.0
"""How long the end of a stage waits for the last one."""
TIMEOUT_SECONDS = 10.0
"""How long the server may take; Prefect's client asks again by itself, in the thread."""

R = TypeVar("R")

logger = logging.getLogger(__name__)


def show(work: Generator[Advance, None, R], title: str) -> R:
    """Drive a stage to its end, under a progress bar and with an artefact; give what it returns."""
    return console.show(told(work, title), title)


def told(work: Generator[Advance, None, R], title: str) -> Generator[Advance, None, R]:
    """Pass on what a stage yields and returns; tell Prefect now and then how far it is."""
    if not (artefacts.is_shown() and launched().is_first):
        return (yield from work)
    with _telling(title) as teller:
        while True:
            try:
                advance = next(work)
            except StopIteration as end:
                teller.is_done = True
                return end.value
            teller.latest = advance
            yield advance


class Teller:
    """What the thread knows of a stage, and the artefact that it keeps up to date."""

    def __init__(self, title: str) -> None:
        """Begin with a stage that hasn't said anything."""
        self.title = title
        self.latest: Advance | None = None
        self.is_done = False
        self._ended = threading.Event()
        self._ids = get_task_and_flow_run_ids()
        self._artefact: UUID | None = None
        self._said: tuple[float, str] | None = None
        self._complained = False
        # Prefect's settings and its run are those of the thread that began.
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._run,), name="progress", daemon=True
        )

    def start(self) -> None:
        """Begin to tell."""
        self._thread.start()

    def end(self) -> None:
        """Tell the last, if anything was told; whatever hangs is left behind."""
        self._ended.set()
        self._thread.join(FAREWELL_SECONDS)

    def _run(self) -> None:
        if self._ended.wait(INTERVAL_SECONDS):
            return
        try:
            # Other settings than the engine's, so that it is a client of the thread's own.
            with get_client({"timeout": TIMEOUT_SECONDS}, sync_client=True) as client:
                self._try(client)
                while not self._ended.wait(INTERVAL_SECONDS):
                    self._try(client)
                self._try(client)
        except Exception as error:  # A mistake of ours costs no stage either.
            self._complain(error)

    def _try(self, client: SyncPrefectClient) -> None:
        try:
            self._tell(client)
        except artefacts.FAILURES as error:
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        if not self._complained:
            self._complained = True
            words = " ".join(str(error).split())[:200] or type(error).__name__
            logger.warning("Prefect isn't told how far %s is: %s", self.title, words)

    def _tell(self, client: SyncPrefectClient) -> None:
        advance = self.latest
        if advance is None:
            return
        said = _percent(advance, is_done=self.is_done), _words(self.title, advance)
        if said == self._said:
            return
        share, words = said
        if self._artefact is None:
            self._artefact = client.create_artifact(self._new(share, words)).id
        else:
            client.update_artifact(self._artefact, ArtifactUpdate(data=share, description=words))
        self._said = said

    def _new(self, share: float, words: str) -> ArtifactCreate:
        task_run_id, flow_run_id = self._ids
        return ArtifactCreate(
            type="progress",
            key=artefacts.key_of(f"progress {self.title}"),
            data=share,
            description=words,
            task_run_id=task_run_id,
            flow_run_id=flow_run_id,
        )


@contextmanager
def _telling(title: str) -> Generator[Teller]:
    teller = Teller(title)
    teller.start()
    try:
        yield teller
    finally:
        teller.end()


def _percent(advance: Advance, *, is_done: bool) -> float:
    if is_done:
        return 100.0
    return 100.0 * min(1.0, advance.done / advance.total) if advance.total > 0 else 0.0


def _words(title: str, advance: Advance) -> str:
    return f"**{title}**: {advance.done} of {advance.total}, {advance}"

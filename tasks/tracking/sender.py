"""The thread that sends what waits, tries again when MLflow fails, and says so once."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tasks import addresses
from tasks.tracking import creating, library, pruning, state
from tasks.tracking import spool as spools
from tasks.tracking.client import connect, failures, first_words, is_refusal
from tasks.tracking.sending import Sending
from tasks.tracking.spool import Spool

GATHER_SECONDS = 2.0
"""How long lines are gathered before they are sent together; the end of a run doesn't wait."""
OTHERS_SECONDS = 0.2
"""Between looks at runs that other processes are sending."""
WAITS_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Between tries while MLflow fails; the last one for as long as it does."""
PATIENCE_SECONDS = 30.0
"""How long the end of a run waits while nothing arrives; a failure ends the wait at once."""
SHORT_SECONDS = 2.0
"""The same where MLflow has failed before."""

logger = logging.getLogger(__name__)


class Sender:
    """Sends the runs of one spool to one server or database."""

    def __init__(self, folder: Path, uri: str) -> None:
        """Take the spool's folder, and MLflow's address."""
        self.folder, self.uri = folder, uri
        self.failures = 0
        """Tries that failed since the last one that didn't."""
        self.trouble = ""
        """What MLflow said last, while it fails."""
        self._client: library.MlflowClient | None = None
        self._sendings: dict[str, Sending] = {}
        self._lock = threading.Lock()
        self._changed = threading.Condition()
        self._tries = 0
        self._moved_at = time.monotonic()
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None
        self._looked_for_others = False

    def sending(self, run_id: str, *, fresh: bool = False) -> Sending:
        """Give a run's way to MLflow; the same one each time."""
        pruning.enter(self.folder)
        with self._lock:
            if run_id not in self._sendings:
                made = Spool(self.folder, run_id)
                self._sendings[run_id] = Sending(made, self._mlflow_id, fresh=fresh)
            return self._sendings[run_id]

    def wake(self) -> None:
        """Let the thread know that something was told."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)
                self._thread.start()
        self._wake.set()

    def flush(self, sending: Sending, patience_seconds: float = PATIENCE_SECONDS) -> bool:
        """Wait until MLflow has what a run has told so far; False: it hasn't.

        Args:
            sending: The run.
            patience_seconds: How long to wait while nothing arrives.
        """
        library.load()  # Seconds, in which nothing can arrive.
        if self.trouble:
            patience_seconds = min(patience_seconds, SHORT_SECONDS)
        size, before = sending.spool.end(), self._tries
        self._moved_at = time.monotonic()
        self._hurry.set()
        self.wake()
        with self._changed:
            while not self._has(sending, size):
                left = self._moved_at + patience_seconds - time.monotonic()
                if left <= 0 or (self._tries > before and (self.trouble or sending.stuck)):
                    return False
                self._changed.wait(min(left, 0.5))
        return True

    def send_all(self, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Send everything that waits, in this thread; what is refused stays.

        Args:
            patience_seconds: How long to wait for runs that others are sending.

        Raises:
            MlflowException: MLflow failed, and the rest waits; so do OSError and sqlite3.Error.
        """
        until = time.monotonic() + patience_seconds
        while any([self._send_apart(self.sending(found)) for found in self._waiting()]):
            if time.monotonic() > until:
                return
            time.sleep(OTHERS_SECONDS)

    def _waiting(self) -> Sequence[str]:
        """Give the runs on disk that aren't sent to the end."""
        return [one.run_id for one in spools.found(self.folder) if state.waiting(one)]

    def _has(self, sending: Sending, size: int) -> bool:
        return sending.state.sent >= size and not sending.spool.unsaved()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            self._hurry.wait(
                WAITS_SECONDS[min(self.failures, len(WAITS_SECONDS)) - 1]
                if self.failures
                else GATHER_SECONDS
            )
            self._hurry.clear()
            if self._round():
                self._wake.set()

    def _round(self) -> bool:
        """Try to send everything; say whether something is left that may be sent later."""
        try:
            left = [self._send_apart(sending) for sending in self._pending()]
        except failures() as error:
            self._failed(first_words(error))
            return True
        self._succeeded()
        return any(left) or self._look_for_others()

    def _send_apart(self, sending: Sending) -> bool:
        """Send a run; say whether to come back to it. One that is refused holds up no other.

        Raises:
            MlflowException: Nobody answers; so do OSError and sqlite3.Error.
        """
        try:
            return not self._send(sending)
        except Exception as error:  # A mistake of ours costs no training either.
            if isinstance(error, failures()) and not is_refusal(error):
                raise
            if not sending.stuck:
                logger.warning("%s isn't sent: %s", sending.spool.path, first_words(error))
            sending.stuck = f"{type(error).__name__}: {first_words(error)}"
            return False

    def _pending(self) -> list[Sending]:
        with self._lock:
            return [sending for sending in self._sendings.values() if sending.pending()]

    def _send(self, sending: Sending) -> bool:
        """Send a run; False: another process is at it."""
        if not sending.pending():
            return True
        if self._client is None:
            self._client = connect(self.uri)
        return sending.send(self._client, self._moved)

    def _moved(self) -> None:
        with self._changed:
            self._moved_at = time.monotonic()
            self._changed.notify_all()

    def _failed(self, words: str) -> None:
        self._client = None
        with self._changed:
            first = not self.trouble
            self.failures, self.trouble = self.failures + 1, words
            self._tries += 1
            self._changed.notify_all()
        if first:
            logger.warning(
                "MLflow failed, the run goes on without it: %s; what it is to be told waits in %s",
                words,
                self.folder,
            )

    def _succeeded(self) -> None:
        with self._changed:
            self.failures, self.trouble = 0, ""
            self._tries += 1
            self._changed.notify_all()

    def _look_for_others(self) -> bool:
        """Take up, once, what runs that were killed have left."""
        if self._looked_for_others:
            return False
        self._looked_for_others = True
        return bool([self.sending(run_id) for run_id in self._waiting()])

    def _mlflow_id(self, run_id: str) -> str | None:
        """Give MLflow's id of the run above another, which is sent first, here or elsewhere."""
        sending = self.sending(run_id)
        if sending.state.mlflow_id is None and self._client is not None:
            self._send(sending)
        if sending.state.mlflow_id is None and self._client is not None:
            # Begun on another machine, or pruned from here.
            creating.adopt(self._client, run_id, sending.state)
        return sending.state.mlflow_id


_senders: dict[tuple[Path, str], Sender] = {}
_making = threading.Lock()


def current() -> Sender:
    """Give the sender of the spool and the server that are set now."""
    place = spools.folder(), addresses.tracking_uri()
    with _making:
        if place not in _senders:
            _senders[place] = Sender(*place)
        return _senders[place]


@atexit.register
def _farewell() -> None:
    """Send what was told after the last run had ended."""
    for sender in list(_senders.values()):
        for sending in list(sender._pending()):  # pyright: ignore[reportPrivateUsage]
            if not sender.flush(sending, SHORT_SECONDS):
                return

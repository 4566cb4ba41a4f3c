"""The spool: a file a run, of what MLflow is to be told, on this machine's disk first.

A line is written at once, so that it survives the process, and made durable by a thread within
`COMMIT_SECONDS`, so that training never waits for the disk. Several processes may add to a file.
Each line begins with a line break: whatever a kill or a full disk cut short before it stands alone,
and its checksum tells it from a line. While the disk is full, lines wait in memory.
"""

import fcntl
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from polyspace.store.seal import seal, unseal
from tasks import addresses
from tasks.tracking import lines
from tasks.tracking.lines import Line

COMMIT_SECONDS = 0.05
"""How long lines are gathered before they are made durable together."""
MOST_UNSAVED = 100_000
"""Lines kept in memory for a disk that is full; the oldest go first."""
SUFFIX = ".jsonl"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Read:
    """A line as it was read."""

    line: Line | None
    """None: nothing whole stands between the last one and the end of the file."""
    end: int
    """Where in the file it ends, in bytes."""


class Spool:
    """What one run has told; opened when the first line is written."""

    def __init__(self, folder: Path, run_id: str) -> None:
        """Take the run of an id, whose file need not be there yet."""
        self.run_id = run_id
        self.path = folder / f"{run_id}{SUFFIX}"
        self._handle: int | None = None
        self._unsaved: deque[tuple[Line, bytes]] = deque(maxlen=MOST_UNSAVED)
        self._lock = threading.Lock()
        self._complained = False

    def append(self, line: Line) -> None:
        """Tell something; a disk that refuses costs a warning, and the line waits in memory."""
        sealed = b"\n" + seal(line.model_dump_json())
        with self._lock:
            self._unsaved.append((line, sealed))
            self._save()
        _committer.want(self)

    def commit(self) -> None:
        """Make durable what was told."""
        with self._lock:
            self._save()
            handle = self._handle
        if handle is not None:
            try:
                os.fsync(handle)
            except OSError as error:
                self._complain(error)

    def unsaved(self) -> Sequence[Line]:
        """Give the lines that the disk didn't take."""
        with self._lock:
            return [line for line, _ in self._unsaved]

    def forget(self, sent: Sequence[Line]) -> None:
        """Drop lines that the disk didn't take, and that MLflow has now."""
        gone = {id(line) for line in sent}
        with self._lock:
            kept = [entry for entry in self._unsaved if id(entry[0]) not in gone]
            self._unsaved = deque(kept, maxlen=MOST_UNSAVED)

    def end(self) -> int:
        """Give where in the file the last line break stands, in bytes; 0: there is none."""
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(size - 1, 0))
                if file.read() in (b"\n", b""):
                    return size
                file.seek(0)
                return file.read().rfind(b"\n") + 1
        except OSError:
            return 0

    def read(self, start: int = 0) -> Generator[Read]:
        """Give the lines from a place in the file on; what was cut short is left out."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return
        with file:
            file.seek(start)
            is_behind = False
            for text in file:
                if not text.endswith(b"\n"):
                    break
                start += len(text)
                line = _parsed(text)
                is_behind = line is None
                if line is not None:
                    yield Read(line, start)
            if is_behind:
                yield Read(None, start)

    @contextmanager
    def held(self) -> Generator[bool]:
        """Keep other senders of the run out while the block runs; False: one is at work."""
        try:
            handle = os.open(self.path, os.O_RDONLY)
        except OSError:
            yield True  # It is in memory alone, and only this process knows of it.
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
        finally:
            os.close(handle)

    def _save(self) -> None:
        try:
            while self._unsaved:
                if self._handle is None:
                    self._handle = _open(self.path)
                _write(self._handle, self._unsaved[0][1])
                self._unsaved.popleft()
        except OSError as error:
            self._complain(error)
        else:
            self._complained = False

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            self._complained = True
            logger.warning(
                "%s can't be written (%s): what MLflow is to be told waits in memory; make room",
                self.path,
                error.strerror or error,
            )

    def close(self) -> None:
        """Make durable what was told, and close the file; another line opens it again."""
        self.commit()
        with self._lock:
            if self._handle is not None:
                os.close(self._handle)
            self._handle = None


def folder() -> Path:
    """Give the folder of the spool, absolute: a process may change its own."""
    return addresses.spool().absolute()


def found(place: Path) -> Sequence[Spool]:
    """Give all runs of a spool, in the order in which their files were made."""
    made: list[tuple[int, str]] = []
    for path in place.glob(f"*{SUFFIX}"):
        with suppress(FileNotFoundError):  # Somebody has pruned it meanwhile.
            made.append((path.stat().st_ctime_ns, path.name.removesuffix(SUFFIX)))
    return [Spool(place, name) for _, name in sorted(made)]


class _Committer:
    """A thread that makes lines durable, many at a time."""

    def __init__(self) -> None:
        self._wanted: set[Spool] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def want(self, spool: Spool) -> None:
        with self._lock:
            self._wanted.add(spool)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
                self._thread.start()
        self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            time.sleep(COMMIT_SECONDS)
            self._wake.clear()
            with self._lock:
                wanted, self._wanted = self._wanted, set()
            for spool in wanted:
                spool.commit()


_committer = _Committer()


def _parsed(text: bytes) -> Line | None:
    try:
        return lines.read(unseal(text.removesuffix(b"\n")))
    except ValueError:
        return None


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)


def _write(handle: int, data: bytes) -> None:
    """Write it all, in one call where the disk lets: of several processes, lines stay whole."""
    while data:
        data = data[os.write(handle, data) :]

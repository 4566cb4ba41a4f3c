"""The journal of a study: Optuna's log, in lines that check themselves.

Optuna's own file has two weak places. A line that a kill or a full disk cut short makes all that
follow unreadable, and its locks, when they are given up after 30 seconds, may be taken from the
successor of whom they were meant for. Here half a line was never said, and the lock is a lease.
Nothing is pickled, and Optuna's tools can read the file.
"""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from polyspace.errors import CorruptStoreError, StoreError
from polyspace.store.lease import Leases
from polyspace.store.seal import seal, unseal


class Journal(BaseJournalBackend):
    """A file that grows line by line, shared by processes on any machines."""

    def __init__(self, path: Path, leases: Leases) -> None:
        """Take the file, which need not be there yet, and this process's leases."""
        self._path, self._leases = path, leases
        self._starts = [0]

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Give what was said, from some line on.

        Raises:
            CorruptStoreError: A line is not as it was written.
        """
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._starts[log_number_from])
            for number, line in enumerate(file, start=log_number_from):
                if not line.endswith(b"\n"):
                    return
                if number + 1 == len(self._starts):
                    self._starts.append(self._starts[number] + len(line))
                yield self._parsed(number, line)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Say something; it is durable when this returns.

        Raises:
            StoreError: The disk refused.
        """
        lines = [seal(json.dumps(log, separators=(",", ":"))) for log in logs]
        with self._leases.hold("journal"):
            try:
                self._append(lines)
            except OSError as error:
                raise StoreError(
                    f"{self._path} can't be written ({error.strerror or error}): make room, and "
                    f"run the same command again; what was finished is kept"
                ) from error

    def _append(self, lines: Sequence[bytes]) -> None:
        with self._path.open("ab") as file:
            file.truncate(self._end())
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())

    def _end(self) -> int:
        """Give where the last whole line ends; whoever wrote on from there is gone."""
        size = self._path.stat().st_size
        with self._path.open("rb") as file:
            file.seek(max(size - 1, 0))
            if file.read() in (b"\n", b""):
                return size
        return self._path.read_bytes().rfind(b"\n") + 1

    def _parsed(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            return json.loads(unseal(line.removesuffix(b"\n")))
        except ValueError as error:
            raise CorruptStoreError(
                f"{self._path}, line {number + 1} is not as it was written ({error}): give "
                f"another --out"
            ) from error

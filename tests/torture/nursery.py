"""Writers that can be killed, stopped and starved, each in a process of its own.

Importing torch and zarr takes seconds, so one process imports them and forks a writer for every
job; it never computes itself, so that nothing but memory is inherited.
"""

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.torture.worker import Job, work

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Child:
    """A writer at work."""

    process: int
    said: Path
    """What it prints: stdout and stderr."""
    nursery: "Nursery"

    def send(self, number: signal.Signals) -> None:
        """Send a signal; the number stays this child's until `wait` has returned."""
        os.kill(self.process, number)

    def wait(self) -> int:
        """Wait for its end; give the exit status, negative if a signal was the end."""
        return self.nursery.ask({"wait": self.process})

    def lines(self) -> list[str]:
        """Give the whole lines that it has printed."""
        return self.said.read_text().split("\n")[:-1]

    def items(self, verb: str) -> list[int]:
        """Give the work items of which it said something."""
        return [int(line.split()[1]) for line in self.lines() if line.startswith(f"{verb} ")]

    def await_line(self, start: str) -> None:
        """Wait until it says something."""
        patience = time.monotonic() + PATIENCE_SECONDS
        while not any(line.startswith(start) for line in self.lines()):
            if time.monotonic() > patience:
                raise TimeoutError(f"no {start!r} in {self.lines()}")
            time.sleep(0.001)


class Nursery:
    """Makes writers."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        folder.mkdir(parents=True, exist_ok=True)
        self._parent = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self.ask({})

    def start(self, job: Job) -> Child:
        """Let a writer begin."""
        said = self._folder / f"{self._count}.txt"
        self._count += 1
        said.touch()
        return Child(self.ask({"job": asdict(job), "said": str(said)}), said, self)

    def ask(self, question: dict[str, Any]) -> int:
        """Ask the process that makes the writers."""
        assert self._parent.stdin
        assert self._parent.stdout
        self._parent.stdin.write(f"{json.dumps(question)}\n")
        self._parent.stdin.flush()
        return int(self._parent.stdout.readline())

    def close(self) -> None:
        """Let the process end; its writers are expected to have ended."""
        self._parent.communicate()


@contextmanager
def nursery(folder: Path) -> Generator[Nursery]:
    """Give a nursery for as long as it is needed."""
    made = Nursery(folder)
    try:
        yield made
    finally:
        made.close()


def _serve() -> None:
    """Answer questions, each with a number."""
    for line in sys.stdin:
        sys.stdout.write(f"{_answer(**json.loads(line))}\n")
        sys.stdout.flush()


def _answer(wait: int = 0, job: dict[str, Any] | None = None, said: str = "") -> int:
    """Give the exit status of a process, or the number of a new one; 0 to who only asks."""
    if wait:
        return os.waitstatus_to_exitcode(os.waitpid(wait, 0)[1])
    if not job:
        return 0
    process = os.fork()
    if not process:
        _live(Job(**job), said)
    return process


def _live(job: Job, said: str) -> None:
    """Do one job in this forked process, and end it."""
    for number in (1, 2):
        os.dup2(os.open(said, os.O_WRONLY | os.O_APPEND), number)
    try:
        status = work(job)
    except Exception:
        # A clear line is what is promised; whoever reads what was said sees that this is none.
        traceback.print_exc()
        status = 1
    # Not through Python's exit, which would end the nursery's business, too.
    os._exit(status)


if __name__ == "__main__":
    _serve()

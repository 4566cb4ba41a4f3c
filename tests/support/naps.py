"""A flow that does nothing but note what it sees, for tests of workers."""

import os
import time
from pathlib import Path

from prefect import flow


@flow(name="nap")
def nap(folder: Path, seconds: float) -> None:
    """Sleep; note when it began and ended, and which GPUs it saw.

    Args:
        folder: Where the note goes.
        seconds: How long.
    """
    began = time.time()
    time.sleep(seconds)
    note = f"{began} {time.time()} {os.environ['CUDA_VISIBLE_DEVICES']}"
    (folder / f"{os.getpid()}.txt").write_text(note)


@flow(name="doze")
def doze() -> None:
    """Go on for ever, and be busy for a tenth of the time, without ever letting go of Python."""
    while True:
        until = time.monotonic() + 0.1
        while time.monotonic() < until:
            pass
        time.sleep(0.9)

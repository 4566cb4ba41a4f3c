"""Workers of the pool that flows hand parts out to."""

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from prefect.settings import get_current_settings

from tests.support.services import free_port

ROOT = Path(__file__).parents[2]


@contextmanager
def worker() -> Generator[subprocess.Popen[bytes]]:
    """A worker of the pool, in a process group of its own."""
    process = subprocess.Popen(
        (sys.executable, "-m", "flows.work", "--health-port", str(free_port())),
        cwd=ROOT,
        env={**os.environ, "PREFECT_API_URL": str(get_current_settings().api.url)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

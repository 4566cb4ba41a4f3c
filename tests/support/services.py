"""A Prefect server with its pages, deployments and workers, on ports of this test run's own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.work import WorkConfig, command, environment

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 180


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def server(folder: Path) -> Generator[str]:
    """A server whose database lies in a folder; gives the address of its pages."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    settings = {"PREFECT_HOME": str(folder), "PREFECT_SERVER_UI_API_URL": f"{address}/api"}
    words = ("server", "start", "--host", "127.0.0.1", "--port", str(port))
    with (
        running((sys.executable, "-m", "prefect", *words), settings, folder / "server.log"),
        temporary_settings({PREFECT_API_URL: f"{address}/api"}),
    ):
        wait_for(f"{address}/api/health")
        yield address


@contextmanager
def worker(folder: Path, *, gpu: int | None = None) -> Generator[str]:
    """A worker as `python -m flows.work` starts it; gives the address of its health check."""
    port = free_port()
    config = WorkConfig(gpu=gpu, health_port=port)
    with running(command(config), environment(config), folder / f"worker-{gpu}.log"):
        wait_for(f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}/health"


@contextmanager
def running(words: Sequence[str], more: Mapping[str, str], log: Path) -> Generator[None]:
    """A program in a process group of its own, which ends with the block."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            words,
            cwd=ROOT,
            env={**os.environ, **more},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(url: str) -> None:
    """Wait until something answers."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            with urlopen(url, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    raise AssertionError(f"{url} never answered")

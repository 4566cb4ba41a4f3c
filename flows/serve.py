"""Both user interfaces on this machine's loopback address: ``python -m flows.serve``."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated
from urllib.request import urlopen

from pydantic import Field

from flows.services import processes
from polyspace import console
from polyspace.config import Config
from polyspace.errors import ConfigError
from tasks import addresses

RUNS = Path("runs")
ENVIRONMENT = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    # Seven more processes, for jobs that nothing here submits.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


class ServeConfig(Config):
    """Where the two user interfaces answer."""

    prefect_port: Annotated[int, Field(ge=1024, le=65535)] = addresses.PREFECT_PORT
    """Port of the Prefect UI."""
    mlflow_port: Annotated[int, Field(ge=1024, le=65535)] = addresses.MLFLOW_PORT
    """Port of the MLflow UI."""


def main(config: ServeConfig) -> None:
    """Start both servers, say where they are, and stop both when interrupted."""
    # SIGINT, too: a shell script starts what it leaves in the background with that one ignored.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.default_int_handler)
    prefect = _server("prefect", _prefect(config.prefect_port), config.prefect_port, "/api/health")
    mlflow = _server("mlflow", _mlflow(config.mlflow_port), config.mlflow_port, "/health")
    with suppress(KeyboardInterrupt), prefect as first, mlflow as second:
        console.say(f"Prefect  {addresses.local(config.prefect_port)}")
        console.say(f"MLflow   {addresses.mlflow_ui(config.mlflow_port)}")
        for view in views(config.mlflow_port):
            console.say(f"Runs     {view}")
        console.say(f"Workers  {_deploy(config.prefect_port)}")
        console.say("Ctrl-C stops both servers.")
        while first.poll() is None and second.poll() is None:
            time.sleep(1)


def views(port: int) -> Iterator[str]:
    """Give the experiments that an MLflow server knows, and where they open with our columns.

    Args:
        port: Of the server, on this machine.
    """
    search = f"{addresses.local(port)}/api/2.0/mlflow/experiments/search?max_results=100"
    with urlopen(search, timeout=30) as answer:
        found = json.load(answer).get("experiments", [])
    for one in found:
        if any(tag["key"] == addresses.VIEW_TAG for tag in one.get("tags", [])):
            address = addresses.mlflow_experiment(one["experiment_id"], port)
            yield f"{one['name']}  {address}"


def _prefect(port: int) -> Sequence[str]:
    return ("flows.server", "--host", addresses.HOST, "--port", str(port))


def _deploy(port: int) -> str:
    """Register what workers may run; give the command that starts one.

    In a process of its own, because flows take seconds to import and a server needs none of them.

    Raises:
        ConfigError: The server refuses.
    """
    done = subprocess.run(
        (sys.executable, "-m", "flows.deploy", "--no-watch"),
        env=os.environ | ENVIRONMENT | {"PREFECT_API_URL": f"{addresses.local(port)}/api"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ConfigError(f"nothing was registered for workers: {done.stderr.strip()[-500:]}")
    return done.stdout.strip()


def _mlflow(port: int) -> Sequence[str]:
    """Give MLflow's command; it answers to these two names alone, not to all that resolve here."""
    hosts = f"localhost:{port},{addresses.HOST}:{port}"
    where = ("--host", addresses.HOST, "--port", str(port), "--allowed-hosts", hosts)
    store = ("--backend-store-uri", addresses.tracking_uri(), "--serve-artifacts")
    return ("mlflow", "server", *where, *store, "--workers", "1")


@contextmanager
def _server(
    name: str, command: Sequence[str], port: int, health: str
) -> Generator[subprocess.Popen[bytes]]:
    """Run a server while the block runs, in a process group of its own that ends with it.

    Raises:
        ConfigError: The port is taken, or the server doesn't start.
    """
    processes.refuse_taken(port, f"--{name}-port")
    log = RUNS / f"{name}.log"
    log.unlink(missing_ok=True)
    process = processes.start(
        (sys.executable, "-m", *command), environment=_environment(port), log=log
    )
    try:
        url = f"{addresses.local(port)}{health}"
        processes.wait(process, processes.answers(url), url, log)
        yield process
    finally:
        processes.end(process)


def _environment(port: int) -> dict[str, str]:
    """Give a server its settings; Prefect's pages would look for their server at port 4200."""
    return {
        **os.environ,
        **ENVIRONMENT,
        "PREFECT_SERVER_UI_API_URL": f"{addresses.local(port)}/api",
    }


if __name__ == "__main__":
    console.run(ServeConfig, main)

"""The services of a team on this machine, without containers:  ``python -m flows.stack``."""

import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from pydantic import Field

from flows.services import processes, topology
from flows.services.places import Ports
from flows.services.topology import Stack
from polyspace import console
from polyspace.config import Config
from polyspace.errors import ConfigError

LOGS = Path("runs/stack")


class StackConfig(Config):
    """Rehearse docker/compose.yaml: PostgreSQL, Prefect, MLflow, S3, a proxy with TLS, workers.

    Everything is new at each start and gone at its end, but what workers wrote to runs/.
    """

    prefect_port: Annotated[int, Field(ge=1024, le=65535)] = 4443
    """Port of the Prefect UI."""
    mlflow_port: Annotated[int, Field(ge=1024, le=65535)] = 5443
    """Port of the MLflow UI."""
    workers: Annotated[int, Field(ge=0, le=16)] = 2
    """How many workers."""


def main(config: StackConfig) -> None:
    """Start everything, say where it is, and stop everything when interrupted."""
    processes.refuse_taken(config.prefect_port, "--prefect-port")
    processes.refuse_taken(config.mlflow_port, "--mlflow-port")
    ports = Ports.free(config.workers, config.prefect_port, config.mlflow_port)
    # SIGINT, too: a shell script starts what it leaves in the background with that one ignored.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.default_int_handler)
    with suppress(KeyboardInterrupt), tempfile.TemporaryDirectory(prefix="polyspace-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL's user passes through, and sees nothing else
        with topology.running(folder, LOGS, ports) as stack:
            _introduce(stack)
            _watch(stack)


def _introduce(stack: Stack) -> None:
    """Say where everything is, and how to get in."""
    client = stack.folder / "secrets/client.sh"
    client.write_text("".join(f"export {name}='{to}'\n" for name, to in stack.client().items()))
    client.chmod(0o600)
    console.say(f"Prefect  {stack.prefect}")
    console.say(f"MLflow   {stack.mlflow}/#/experiments?workflowType=machine_learning")
    console.say(f"Secrets  {stack.folder / 'secrets'}")
    console.say(f"Client   . {client}")
    console.say(f"Logs     {stack.logs}")
    console.say("Ctrl-C stops everything and deletes it.")


def _watch(stack: Stack) -> None:
    """Wait until something ends.

    Raises:
        ConfigError: The message names what has ended.
    """
    while True:
        for name, process in stack.processes.items():
            if process.poll() is not None:
                raise ConfigError(f"{name} has ended, so everything does: {stack.log(name)}")
        time.sleep(1)


if __name__ == "__main__":
    console.run(StackConfig, main)

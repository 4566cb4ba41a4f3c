"""A worker of this machine, for CPU runs or for one GPU: ``python -m flows.work``."""

import os
import platform
import sys
from pathlib import Path
from typing import Annotated

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings
from pydantic import Field

from flows import watching
from polyspace import console
from polyspace.config import Config
from polyspace.errors import ConfigError
from tasks import addresses, parts

HEALTH_PORT = 8080
"""Of a worker for CPU runs; those of GPUs follow."""
QUERY_SECONDS = 2
"""Between two questions for runs: Prefect's ten would be most of what a trigger waits."""
PATIENCE = {"PREFECT_CLIENT_MAX_RETRIES": "6", "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500"}
"""A server that starts again is waited for two minutes, also while it has no database."""


class WorkConfig(Config):
    """Take runs of the pool polyspace-cpu, or, for one GPU, of polyspace-gpu; start one a GPU.

    python -m flows.work            several runs at a time, none of which sees a GPU

    python -m flows.work --gpu 0    one run at a time, which sees that GPU alone
    """

    gpu: Annotated[int, Field(ge=0)] | None = None
    """Number of the GPU, as nvidia-smi counts; None: CPU."""
    runs: Annotated[int, Field(ge=1)] = 4
    """Runs at a time, of a worker without a GPU."""
    health_port: Annotated[int, Field(ge=1024, le=65535)] | None = None
    """Where GET /health answers, on loopback; None: 8080 for the CPU, 8081 for GPU 0, and so on."""

    @property
    def pool(self) -> str:
        """Name the pool that runs are taken from."""
        return parts.POOLS["cpu" if self.gpu is None else "gpu"]

    @property
    def port(self) -> int:
        """Say where the health check answers."""
        return self.health_port or HEALTH_PORT + (0 if self.gpu is None else 1 + self.gpu)


def main(config: WorkConfig) -> None:
    """Become the worker: signals, and whoever supervises, reach it and nothing between."""
    parts.refuse_unreachable()
    _refuse_missing_pool(config.pool)
    if config.gpu is not None:
        _refuse_missing_gpu(config.gpu)
    words = command(config)
    os.execve(words[0], words, environment(config))


def command(config: WorkConfig) -> tuple[str, ...]:
    """Give the worker's command.

    --limit is what keeps a GPU to one run: the queues have no limit, so that a run may be taken
    from the queue of all GPUs or from this one's.
    """
    device = "cpu" if config.gpu is None else parts.queue(config.gpu)
    queues = () if config.gpu is None else (parts.ANY_GPU, parts.queue(config.gpu))
    chosen = [word for queue in queues for word in ("--work-queue", queue)]
    limit = config.runs if config.gpu is None else 1
    return (
        *(sys.executable, "-m", "prefect", "--no-prompt", "worker", "start"),
        *("--pool", config.pool, *chosen, "--name", f"{device}@{platform.node()}"),
        *("--type", "process", "--limit", str(limit), "--with-healthcheck"),
        "--no-create-pool-if-not-found",
    )


def environment(config: WorkConfig) -> dict[str, str]:
    """Give the worker's environment, which its runs inherit."""
    return {
        "PREFECT_WORKER_QUERY_SECONDS": str(QUERY_SECONDS),
        **PATIENCE,
        **os.environ,
        "PREFECT_API_URL": str(get_current_settings().api.url),
        # Whatever the machine says: the server's automations wait for beats that often.
        watching.SETTING: str(watching.HEARTBEAT_SECONDS),
        # Deployments name the command of a run, `python -m flows.attempt`: this Python, then.
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))),
        # Nothing but a GPU's own worker touches it; deployments set no such variable, it would win.
        "CUDA_VISIBLE_DEVICES": "" if config.gpu is None else str(config.gpu),
        # Otherwise CUDA counts the fastest first, and nvidia-smi by place.
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "PREFECT_WORKER_WEBSERVER_HOST": addresses.HOST,
        "PREFECT_WORKER_WEBSERVER_PORT": str(config.port),
    }


def _refuse_missing_pool(name: str) -> None:
    """Refuse to wait for runs that can't come.

    Raises:
        ConfigError: The server has no such pool.
    """
    with get_client(sync_client=True) as client:
        try:
            client.read_work_pool(name)
        except ObjectNotFound as error:
            raise ConfigError(
                f"{get_current_settings().api.url} has no pool {name}: make it with make deploy"
            ) from error


def _refuse_missing_gpu(number: int) -> None:
    """Refuse to take runs for a GPU that isn't there.

    Raises:
        ConfigError: CUDA counts fewer.
    """
    import torch  # takes seconds, which a worker for the CPU need not wait

    count = torch.cuda.device_count()
    if number >= count:
        raise ConfigError(
            f"--gpu {number}, but CUDA sees {count} here: give a lower number, or none for CPU runs"
        )


if __name__ == "__main__":
    console.run(WorkConfig, main)

"""All services of `docker/compose.yaml` on this machine's loopback address, without containers.

The same commands, settings, secrets, entry script and proxy rules, read from the compose file.
What differs: Debian's PostgreSQL, moto for S3 (in memory), no networks that close off workers, and
none of the walls around a container.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from flows.services import compose, database, places, processes, programs
from flows.services.compose import DOCKER, Service
from flows.services.places import Ports
from flows.work import PATIENCE
from polyspace.errors import ConfigError
from tasks import addresses

ENTRY = DOCKER / "entry.sh"
KEPT = ("LANG", "OMP_NUM_THREADS")
NAME = "localhost"
"""What the certificate says."""


@dataclass
class Stack:
    """Services that run, each of which can be stopped and started again."""

    folder: Path
    """Secrets and data; everything in it is new."""
    logs: Path
    """One file a service."""
    ports: Ports
    workplace: Path | None = None
    """Folder that workers write to; None: this process's own."""
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    """What docker/.env would say besides addresses."""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def prefect(self) -> str:
        """Prefect's address for people."""
        return f"https://{NAME}:{self.ports.prefect_page}"

    @property
    def mlflow(self) -> str:
        """MLflow's address for people."""
        return f"https://{NAME}:{self.ports.mlflow_page}"

    @property
    def authority(self) -> Path:
        """The certificate that vouches for the proxy's."""
        return self.folder / "proxy/caddy/pki/authorities/local/root.crt"

    def secret(self, name: str) -> str:
        """Read a secret by the name of its file."""
        return (self.folder / "secrets" / name).read_text()

    def service(self, name: str) -> Service:
        """Give a service as the compose file has it, with the places of this machine."""
        variables = {
            **self.variables,
            "POLYSPACE_HOST": NAME,
            "POLYSPACE_PREFECT_PORT": str(self.ports.prefect_page),
            "POLYSPACE_MLFLOW_PORT": str(self.ports.mlflow_page),
        }
        return compose.services(variables)[name].at(places.taken(self.folder, self.ports))

    def environment(self, name: str) -> dict[str, str]:
        """Give all that a service sees of the environment, secrets as files."""
        return {
            **{key: os.environ[key] for key in KEPT if key in os.environ},
            "PATH": processes.search(Path(sys.executable).parent, os.environ["PATH"]),
            "PYTHONPATH": processes.search(DOCKER.parent, os.environ.get("PYTHONPATH", "")),
            "POLYSPACE_SECRETS_FOLDER": str(self.folder / "secrets"),
            **self.service(name).environment,
        }

    def client(self) -> dict[str, str]:
        """Give the environment in which a person's programs find the servers and get in."""
        return {
            **PATIENCE,
            "PREFECT_API_URL": f"{self.prefect}/api",
            "PREFECT_API_AUTH_STRING": self.secret("prefect_auth"),
            "PREFECT_API_SSL_CERT_FILE": str(self.authority),
            "PREFECT_UI_URL": self.prefect,
            "MLFLOW_TRACKING_URI": self.mlflow,
            "MLFLOW_TRACKING_USERNAME": "worker",
            "MLFLOW_TRACKING_PASSWORD": self.secret("mlflow_worker_password"),
            "MLFLOW_TRACKING_SERVER_CERT_PATH": str(self.authority),
        }

    def database(self) -> dict[str, str]:
        """Give the environment in which PostgreSQL's own programs find the server and get in."""
        return database.access(self.ports.postgres, self.secret("postgres_password"))

    def start(self, name: str) -> None:
        """Start a service, and return before it is ready.

        Args:
            name: As in the compose file; workers are called worker-0, worker-1, and so on.
        """
        known = name.partition("-")[0]
        environment = self.environment(known)
        command = ["sh", str(ENTRY), *self.service(known).command]
        if name == "postgres":
            command = [*database.command(self.folder / name, self.ports.postgres)]
            environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        elif name == "proxy":
            # It has no secrets.
            command = [programs.find("caddy"), *self.service(name).command[1:]]
        elif name == "objects":
            module = [sys.executable, "-m", "flows.services.objects"]
            command = ["sh", str(ENTRY), *module, "--port", str(self.ports.objects)]
        elif known == "worker":
            port = self.ports.workers[int(name.partition("-")[2])]
            environment["PREFECT_WORKER_WEBSERVER_PORT"] = str(port)
            command += ["--name", name]
        self.processes[name] = processes.start(
            command,
            environment=environment,
            log=self.log(name),
            user=database.user() if name == "postgres" else None,
            folder=self.workplace if known == "worker" else None,
        )

    def wait(self, name: str) -> None:
        """Wait until a service is ready.

        Raises:
            ConfigError: It has ended, or was not ready in time.
        """
        processes.wait(self.processes[name], self._ready(name), name, self.log(name))

    def stop(self, name: str) -> None:
        """Ask a service to end, and wait until it has."""
        asking = signal.SIGINT if name == "postgres" else signal.SIGTERM
        processes.end(self.processes.pop(name), asking)

    def finish(self, name: str) -> None:
        """Wait for the end of a service that ends by itself.

        Raises:
            ConfigError: It failed.
        """
        if self.processes.pop(name).wait(processes.HEALTHY_WITHIN_SECONDS):
            said = self.log(name).read_text(errors="replace").strip()[-300:]
            raise ConfigError(f"{name} failed: {said}")

    def log(self, name: str) -> Path:
        """Give the file of what a service says."""
        return self.logs / f"{name}.log"

    def _ready(self, name: str) -> Callable[[], bool]:
        ports = self.ports
        here = addresses.local
        if name == "postgres":
            access = self.database()
            return lambda: database.answers(access)
        if name == "objects":
            return processes.listens(ports.objects)  # moto has no page that strangers may see
        if name.startswith("worker"):
            port = ports.workers[int(name.partition("-")[2])]
            return processes.answers(f"{here(port)}/health")
        pages = {
            "prefect": f"{here(ports.prefect)}/api/ready",
            "mlflow": f"{here(ports.mlflow)}/health",
            "proxy": f"{here(ports.health)}/health",
        }
        return processes.answers(pages[name])


@contextmanager
def running(
    folder: Path,
    logs: Path,
    ports: Ports,
    *,
    workplace: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> Generator[Stack]:
    """Run all services while the block runs, as many workers as there are ports for.

    Args:
        folder: An empty folder, which PostgreSQL's user can reach.
        logs: Where each service leaves what it says.
        ports: Of the loopback address.
        workplace: Folder that workers write to; None: this process's own.
        variables: What docker/.env would say besides addresses.

    Raises:
        ConfigError: A program is missing, a secret is refused, or a service doesn't start.
    """
    if lacks := programs.missing():
        raise ConfigError(lacks)
    stack = Stack(folder, logs, ports, workplace, variables or {})
    _prepare(stack)
    try:
        _bring_up(stack)
        yield stack
    finally:
        _bring_down(stack)


def _bring_down(stack: Stack) -> None:
    """Ask all to end at once, for workers take their time, and see the databases out last."""
    for name, process in stack.processes.items():
        if name not in ("postgres", "objects"):
            processes.ask(process)
    for name in reversed(tuple(stack.processes)):
        stack.stop(name)


def _prepare(stack: Stack) -> None:
    """Make secrets, folders and the one settings file that holds an address."""
    secrets = stack.folder / "secrets"
    make = ("sh", DOCKER / "make-secrets.sh", secrets, "0600")
    subprocess.run(make, check=True)
    (stack.folder / "tmp").mkdir(mode=0o700)
    database.make(stack.folder / "postgres", stack.secret("postgres_password"))
    settings = (DOCKER / "mlflow-auth.ini").read_text()
    postgres = f"{addresses.HOST}:{stack.ports.postgres}"
    (secrets / "mlflow-auth.ini").write_text(settings.replace("postgres:5432", postgres))
    for log in stack.logs.glob("*.log"):
        log.unlink()


def _bring_up(stack: Stack) -> None:
    """Start what the rest needs first, and what can start together together."""
    stack.start("postgres")
    stack.start("objects")
    stack.wait("postgres")
    database.fill(stack.environment("postgres") | stack.database())
    for name in ("prefect", "mlflow", "proxy"):
        stack.start(name)
    for name in ("proxy", "prefect"):
        stack.wait(name)
    stack.start("deployments")
    for name in ("objects", "mlflow"):
        stack.wait(name)
    stack.start("accounts")
    for name in ("accounts", "deployments"):
        stack.finish(name)
    workers = [f"worker-{number}" for number in range(len(stack.ports.workers))]
    for name in workers:
        stack.start(name)
    for name in workers:
        stack.wait(name)

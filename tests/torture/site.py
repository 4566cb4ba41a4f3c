"""A Prefect server on PostgreSQL, and machines: workers that die with all that they run."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows import deploy, watching
from flows.deploy import DeployConfig
from flows.services import database, processes
from flows.work import WorkConfig, command, environment
from tasks import addresses

ROOT = Path(__file__).parents[2]
PASSWORD = "torture"
PATIENCE_SECONDS = 300.0


@dataclass(frozen=True)
class Machine:
    """A worker and all that it has started: a process group."""

    worker: subprocess.Popen[bytes]

    def has(self, process: int) -> bool:
        """Tell whether a process is one of this machine's."""
        try:
            return os.getpgid(process) == self.worker.pid
        except ProcessLookupError:
            return False

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to everything on it, at once."""
        os.killpg(self.worker.pid, number)

    def lose(self) -> None:
        """Lose it, unless it is lost: nothing of it says goodbye."""
        if self.worker.poll() is None:
            self.signal(signal.SIGKILL)
            self.worker.wait()


@dataclass
class Site:
    """What runs, and where."""

    folder: Path
    database: subprocess.Popen[bytes]
    database_port: int
    port: int
    server: subprocess.Popen[bytes] | None = None
    machines: list[Machine] = field(default_factory=list[Machine])

    @property
    def api(self) -> str:
        """Give the server's address."""
        return f"{addresses.local(self.port)}/api"

    def start_server(self) -> None:
        """Start the server, and wait until it answers."""
        words = ("-m", "flows.server", "--host", addresses.HOST, "--port", str(self.port))
        place = f"{addresses.HOST}:{self.database_port}/postgres"
        more = {
            "PREFECT_HOME": str(self.folder / "server"),
            "PREFECT_API_DATABASE_CONNECTION_URL": f"postgresql+asyncpg://postgres:{PASSWORD}@{place}",
        }
        log = self.folder / "server.log"
        self.server = processes.start((sys.executable, *words), environment=_with(more), log=log)
        processes.wait(self.server, processes.answers(f"{self.api}/health"), "the server", log)

    def kill_server(self) -> None:
        """End the server as a crash does."""
        assert self.server is not None
        os.killpg(self.server.pid, signal.SIGKILL)
        self.server.wait()

    def machine(self, *, gpu: int | None = None) -> Machine:
        """Add a machine that does one run at a time."""
        (port,) = processes.free_ports(1)
        config = WorkConfig(gpu=gpu, runs=1, health_port=port)
        number = len(self.machines)
        own = self.folder / f"machine-{number}"
        found = environment(config) | {
            "PREFECT_HOME": str(own),
            "MLFLOW_TRACKING_URI": f"sqlite:///{own}.db",
            "POLYSPACE_SPOOL": f"{own}-spool",
        }
        words = [*command(config)]
        # Several on one machine, which would have one name.
        words[words.index("--name") + 1] = f"machine {number}"
        log = self.folder / f"machine-{number}.log"
        made = Machine(processes.start(words, environment=_with(found), log=log))
        self.machines.append(made)
        return made


def equip(api: SyncPrefectClient, gpus: int = 1) -> None:
    """Deploy everything, but let nothing of what is finished start something else."""
    deploy.main(DeployConfig(gpus=gpus))
    ours = {wanted.name for wanted in watching.automations()}
    for automation in api.read_automations():
        if automation.name not in ours:
            api.pause_automation(automation.id)


@contextmanager
def site(folder: Path) -> Generator[Site]:
    """Run a server until the block ends, and whatever machines it is given."""
    ports = processes.free_ports(2)
    folder.mkdir(parents=True, exist_ok=True)
    # PostgreSQL may be another user's, who has to get there.
    for way in (folder.parent, folder):
        way.chmod(0o711)
    database.make(folder / "postgres", PASSWORD)
    made = Site(folder, _postgres(folder, ports[0]), ports[0], ports[1])
    try:
        made.start_server()
        with temporary_settings({PREFECT_API_URL: made.api}):
            yield made
    finally:
        for machine in made.machines:
            machine.lose()
        if made.server:
            processes.end(made.server)
        processes.end(made.database, signal.SIGINT)


def _postgres(folder: Path, port: int) -> subprocess.Popen[bytes]:
    log = folder / "postgres.log"
    words = database.command(folder / "postgres", port)
    place = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    started = processes.start(words, environment=place, log=log, user=database.user())
    access = database.access(port, PASSWORD)
    processes.wait(started, lambda: database.answers(access), "postgres", log)
    return started


def _with(more: Mapping[str, str]) -> dict[str, str]:
    quiet = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "DO_NOT_TRACK": "true"}
    return {**os.environ, **quiet, **more}


def wait_until(happens: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until something happens.

    Raises:
        TimeoutError: It did not.
    """
    patience = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > patience:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.2)

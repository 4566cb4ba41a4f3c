"""Machines that work for a stack: network namespaces with a cable each, or else process groups.

A worker in a namespace reaches nothing but the stack's proxy, as a worker on another machine does.
"""

import itertools
import os
import shutil
import signal
import subprocess
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from flows.services import processes
from flows.services.topology import ENTRY, NAME, Stack
from tests.support.faults import FaultProxy

_numbers = itertools.count(1)
HOSTS = Path("/etc/netns")
"""Folder with a folder for each namespace, whose hosts file is seen in it."""


def refused() -> str:
    """Say why there can be no namespaces here; empty: there can."""
    if os.geteuid():
        return "only root makes network namespaces"
    if not shutil.which("ip"):
        return "there is no program ip"
    return ""


@dataclass
class Machine:
    """One machine with one worker; what it is doing dies with it."""

    stack: Stack
    name: str
    number: int
    """Of the cable."""
    workplace: Path
    """Its own folder, which others don't see."""
    worker: subprocess.Popen[bytes] | None = None
    proxies: list[FaultProxy] = field(default_factory=list[FaultProxy])

    @property
    def namespace(self) -> str:
        """Name the network namespace."""
        return f"ps{os.getpid()}-{self.number}"

    @property
    def log(self) -> Path:
        """Say where its worker leaves what it says."""
        return self.stack.log(self.name)

    def start(self) -> None:
        """Plug it in, and start its worker."""
        self.workplace.mkdir(parents=True, exist_ok=True)
        inside = self._plug_in() if not refused() else ()
        service = self.stack.service("worker")
        (port,) = processes.free_ports(1)
        environment = {
            **self.stack.environment("worker"),
            **self._place(),
            "HOME": str(self.workplace),
            "PREFECT_HOME": str(self.workplace / ".prefect"),
            "PREFECT_WORKER_WEBSERVER_PORT": str(port),
        }
        command = [*inside, "sh", str(ENTRY), *service.command, "--name", self.name]
        self.worker = processes.start(
            command, environment=environment, log=self.log, folder=self.workplace
        )

    def pids(self) -> set[int]:
        """Give all processes that run on it."""
        if refused():
            return _family(self.worker.pid) if self.worker else set()
        said = _ip("netns", "pids", self.namespace).split()
        return {int(word) for word in said}

    def lose(self) -> None:
        """Cut the power: everything on it dies at once, and the cable is dead."""
        while found := self.pids():
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if self.worker:
                self.worker.wait()
        for proxy in self.proxies:
            proxy.close()
        if not refused():
            with suppress(subprocess.CalledProcessError):
                _ip("netns", "delete", self.namespace)
            shutil.rmtree(HOSTS / self.namespace, ignore_errors=True)

    def _plug_in(self) -> tuple[str, ...]:
        """Make the namespace and its cable; give the words that start a program in it."""
        net = f"10.{128 + os.getpid() % 128}.{self.number}"
        here, there = f"{net}.1", f"{net}.2"
        near, far = (
            f"ps{os.getpid() % 10000}n{self.number}",
            f"ps{os.getpid() % 10000}f{self.number}",
        )
        (HOSTS / self.namespace).mkdir(parents=True)
        # The proxy answers to this name alone, and so does its certificate.
        (HOSTS / self.namespace / "hosts").write_text(f"{here} {NAME}\n")
        _ip("netns", "add", self.namespace)
        _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", self.namespace)
        _ip("address", "add", f"{here}/30", "dev", near)
        _ip("link", "set", near, "up")
        inside = ("-n", self.namespace)
        _ip(*inside, "address", "add", f"{there}/30", "dev", far)
        _ip(*inside, "link", "set", far, "up")
        _ip(*inside, "link", "set", "lo", "up")
        for port in (self.stack.ports.prefect_page, self.stack.ports.mlflow_page):
            proxy = FaultProxy(port, here, port)
            proxy.become("pass")
            self.proxies.append(proxy)
        return ("ip", "netns", "exec", self.namespace)

    def _place(self) -> Mapping[str, str]:
        """Say where the servers are, seen from another machine."""
        names = (
            *("PREFECT_API_URL", "PREFECT_API_SSL_CERT_FILE"),
            *("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_SERVER_CERT_PATH"),
        )
        client = self.stack.client()
        return {name: client[name] for name in names}


@contextmanager
def plugged_in(stack: Stack, folder: Path, count: int) -> Generator[list[Machine]]:
    """Run some machines while the block runs; the block may lose some and add others."""
    machines: list[Machine] = []
    try:
        for _ in range(count):
            add(machines, stack, folder)
        yield machines
    finally:
        for machine in machines:
            machine.lose()


def add(machines: list[Machine], stack: Stack, folder: Path) -> None:
    """Start another machine."""
    number = next(_numbers)
    name = f"machine-{number}"
    machines.append(Machine(stack, name, number, folder / name))
    machines[-1].start()


def _ip(*words: str) -> str:
    done = subprocess.run(("ip", *words), capture_output=True, text=True, check=False)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, words, done.stdout, done.stderr)
    return done.stdout


def _family(pid: int) -> set[int]:
    """Give a process and all that descend from it."""
    found = {pid}
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in task.read_text().split():
                found |= _family(int(child))
    return found

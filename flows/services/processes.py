"""Servers as processes of this one: started, waited for, and ended with it."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from polyspace.errors import ConfigError
from tasks import addresses

HEALTHY_WITHIN_SECONDS = 180
GONE_WITHIN_SECONDS = 20


def start(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    log: Path,
    user: str | None = None,
    folder: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program in a process group of its own.

    Args:
        command: The program and its arguments.
        environment: All that it sees of the environment.
        log: What it says goes here.
        user: Whom it runs as; None: whoever runs this.
        folder: Where it runs; None: here.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=dict(environment),
            cwd=folder,
            user=user,
            group=user,
            extra_groups=[] if user else None,
        )


def ask(process: subprocess.Popen[bytes], stop: signal.Signals = signal.SIGTERM) -> None:
    """Ask a process and its group to end, and don't wait."""
    # A postmaster ends its children itself; to them the same signal means something else.
    with suppress(ProcessLookupError):
        (os.kill if stop == signal.SIGINT else os.killpg)(process.pid, stop)


def end(process: subprocess.Popen[bytes], stop: signal.Signals = signal.SIGTERM) -> None:
    """Ask a process and its group to end, and kill what hasn't after 20 s."""
    ask(process, stop)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GONE_WITHIN_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait(process: subprocess.Popen[bytes], ready: Callable[[], bool], what: str, log: Path) -> None:
    """Wait until a server is ready.

    Raises:
        ConfigError: It ended, or time did; the message names its log.
    """
    deadline = time.monotonic() + HEALTHY_WITHIN_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said = log.read_text(errors="replace").strip().splitlines()[-1:]
            raise ConfigError(f"{what} has ended: {' '.join(said)} ({log} says more)")
        if ready():
            return
        time.sleep(0.2)
    raise ConfigError(f"{what} was not ready in {HEALTHY_WITHIN_SECONDS} s: {log} may say why")


def answers(url: str) -> Callable[[], bool]:
    """Give the question whether a server answers, with anything but a fault of its own."""

    def ask() -> bool:
        try:
            with urlopen(url, timeout=5):
                return True
        except HTTPError as error:
            return error.code < 500
        except OSError:
            return False

    return ask


def listens(port: int) -> Callable[[], bool]:
    """Give the question whether anybody listens on a port of the loopback address."""

    def ask() -> bool:
        with closing(socket.socket()) as probe:
            return not probe.connect_ex((addresses.HOST, port))

    return ask


def free_ports(count: int) -> list[int]:
    """Give ports of the loopback address that nobody listens on now."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((addresses.HOST, 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def refuse_taken(port: int, option: str) -> None:
    """Refuse a port that somebody listens on.

    Raises:
        ConfigError: The message names the option that chooses another.
    """
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((addresses.HOST, port))
        except OSError as error:
            raise ConfigError(
                f"port {port} is taken: stop what listens there, or choose another with {option}"
            ) from error


def search(folder: Path, path: str) -> str:
    """Give a search path that begins with a folder, and goes on as another one."""
    return os.pathsep.join(filter(None, (str(folder), path)))

"""PostgreSQL on this machine's loopback address, in a folder of its own."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from flows.services import programs
from flows.services.compose import DOCKER
from polyspace.errors import ConfigError
from tasks import addresses

SETTINGS = {"listen_addresses": addresses.HOST, "unix_socket_directories": ""}


def user() -> str | None:
    """Give whom the server runs as: PostgreSQL refuses to run as root, so root hands it over."""
    return "postgres" if os.geteuid() == 0 else None


def make(folder: Path, password: str) -> None:
    """Make the files of a server whose user postgres has this password.

    Raises:
        ConfigError: initdb failed.
    """
    owner = user()
    folder.mkdir(mode=0o700)
    with tempfile.NamedTemporaryFile("w", dir=folder.parent, prefix="initdb-") as secret:
        secret.write(password)
        secret.flush()
        if owner:
            shutil.chown(folder, owner)
            shutil.chown(secret.name, owner)
        command = [programs.find("initdb"), "-D", str(folder), "--username=postgres"]
        command += ["--auth=scram-sha-256", "--data-checksums", "--encoding=UTF8"]
        command += ["--locale=C.UTF-8", f"--pwfile={secret.name}"]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd=folder.parent,
            user=owner,
            group=owner,
            extra_groups=[] if owner else None,
        )
    if done.returncode:
        raise ConfigError(f"initdb failed in {folder}: {done.stderr.strip()[-300:]}")


def command(folder: Path, port: int) -> Sequence[str]:
    """Give the server's command line."""
    settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
    return [programs.find("postgres"), "-D", str(folder), "-p", str(port), *settings]


def access(port: int, password: str) -> dict[str, str]:
    """Give the environment in which PostgreSQL's own programs find the server and get in."""
    # psql may lie where the others do and nowhere on the PATH.
    folders = [str(Path(programs.find("psql")).parent), os.environ["PATH"]]
    place = {"PGHOST": addresses.HOST, "PGPORT": str(port), "PGPASSWORD": password}
    return place | {"PATH": os.pathsep.join(folders)}


def fill(environment: Mapping[str, str]) -> None:
    """Make databases and owners with the very script that the container runs.

    Args:
        environment: Access, and what the compose file gives the container.

    Raises:
        ConfigError: It failed, or refused a secret.
    """
    script = ("sh", DOCKER / "entry.sh", "sh", DOCKER / "postgres.sh")
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(f"no databases were made: {done.stderr.strip()[-300:]}")


def answers(environment: Mapping[str, str]) -> bool:
    """Say whether the server takes connections."""
    question = (programs.find("pg_isready"), "--quiet", "--username=postgres")
    return not subprocess.run(question, env=environment, check=False).returncode

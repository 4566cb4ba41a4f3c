"""Commands without a Prefect server: they have one of their own, and leave nothing behind."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

from flows import temporary
from tests.support.stores import make_store

pytestmark = [pytest.mark.flow, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 120


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def training(tmp_path):
    """A training that would take hours, at work, and the server that it has of its own."""
    make_store(tmp_path / "features", "train", clips=24, groups=6)
    words = ("--dataset", "toy", "--teachers", "flow", "look", "--epochs", "99999", "--device=cpu")
    places = ("--features", str(tmp_path / "features"), "--save_dir", str(tmp_path / "out"))
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.train_converter", *words, *places],
        cwd=ROOT,
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        | {"PREFECT_HOME": str(tmp_path / "prefect"), "OMP_NUM_THREADS": "1"}
        | {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    wait_for((tmp_path / "out" / "converters_ep1.pt").is_file)
    (server,) = (
        child
        for child in psutil.Process(process.pid).children()
        if "flows.temporary" in child.cmdline()
    )
    yield process, server
    process.kill()
    process.communicate()


def states(home):
    """The flow runs' states, from the database that `make serve` shows."""
    with closing(sqlite3.connect(home / "prefect.db")) as database:
        return [kind for (kind,) in database.execute("SELECT state_type FROM flow_run")]


def test_ctrl_c_ends_a_command_with_a_line_and_its_run_with_a_state(training, tmp_path):
    process, server = training
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to all that it runs
    said, _ = process.communicate(timeout=PATIENCE_SECONDS)

    assert process.returncode == 130
    assert "Traceback" not in said
    assert said.splitlines()[-1] == "interrupted: what was finished is kept"
    assert states(tmp_path / "prefect") == ["CRASHED"]
    assert not server.is_running()


def test_a_command_that_is_killed_leaves_no_server(training):
    process, server = training
    process.kill()
    wait_for(lambda: not server.is_running())


def test_a_server_that_is_set_is_taken():
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        temporary.server()
        assert get_current_settings().api.url == "http://127.0.0.1:9/api"

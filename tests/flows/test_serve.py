import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.request import urlopen

import pytest

from flows.serve import ServeConfig, main
from polyspace.errors import ConfigError


def free_port():
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def status(port, path, host=None):
    """The status of an answer; None while nobody answers."""
    headers = {"Host": host} if host else {}
    with closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        try:
            connection.request("GET", path, headers=headers)
            return connection.getresponse().status
        except ConnectionError:
            return None


def page_server(port):
    """Where Prefect's pages look for their server."""
    with urlopen(f"http://127.0.0.1:{port}/ui-settings", timeout=10) as answer:
        return json.load(answer)["api_url"]


def test_a_port_that_is_taken_is_named_with_the_option_that_chooses_another():
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]

        with pytest.raises(ConfigError, match=f"port {port} is taken: .* --prefect-port"):
            main(ServeConfig(prefect_port=port))


@pytest.mark.slow
def test_both_pages_answer_on_loopback_alone_until_interrupted(tmp_path):
    prefect, mlflow = free_port(), free_port()
    environment = {
        "PYTHONPATH": str(Path.cwd()),
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
    }
    ports = ("--prefect-port", str(prefect), "--mlflow-port", str(mlflow))
    process = subprocess.Popen(
        (sys.executable, "-m", "flows.serve", *ports),
        cwd=tmp_path,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        said = [process.stdout.readline() for _ in range(4)]
        assert (status(prefect, "/"), status(mlflow, "/")) == (200, 200)
        assert status(mlflow, "/", host="10.evil.example") == 403
        assert page_server(prefect) == f"http://127.0.0.1:{prefect}/api"
        assert f"http://127.0.0.1:{prefect}" in said[0]
        assert f"http://127.0.0.1:{mlflow}" in said[1]
        worker = f"PREFECT_API_URL=http://127.0.0.1:{prefect}/api python -m flows.work"
        assert said[2] == f"Workers  {worker}\n"
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    assert (process.returncode, rest) == (0, "")
    deadline = time.monotonic() + 10
    while status(prefect, "/") or status(mlflow, "/"):
        assert time.monotonic() < deadline
        time.sleep(0.1)

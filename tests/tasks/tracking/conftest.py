import shutil

import pytest
from mlflow import MlflowClient

from tests.support.faults import FaultProxy, mlflow_server


@pytest.fixture(scope="session")
def _server(tmp_path_factory, _empty_database):
    folder = tmp_path_factory.mktemp("served")
    shutil.copy(_empty_database, folder)
    with mlflow_server(folder) as port, pytest.MonkeyPatch.context() as kept:
        # MLflow sets this variable to its own database when it is asked for the first time.
        kept.setenv("MLFLOW_TRACKING_URI", "")
        MlflowClient(f"http://127.0.0.1:{port}").search_experiments()
        kept.undo()
        yield port


@pytest.fixture(autouse=True)
def _little_is_gathered(monkeypatch):
    """Runs of half a second would be over before the first try to send."""
    monkeypatch.setattr("tasks.tracking.sender.GATHER_SECONDS", 0.1)


@pytest.fixture
def proxy(_server, monkeypatch, tmp_path):
    """A way to an MLflow server that can be broken; runs go through it, and it passes at first."""
    found = FaultProxy(_server)
    found.become("pass")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{found.port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("POLYSPACE_SPOOL", str(tmp_path / "spool"))
    yield found
    found.close()


@pytest.fixture
def server(_server, proxy):
    """A client that goes round the proxy."""
    return MlflowClient(f"http://127.0.0.1:{_server}")

"""Where MLflow's database lies, and where the two user interfaces answer."""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

from prefect.settings import get_current_settings

HOST = "127.0.0.1"
PREFECT_PORT = 4200
MLFLOW_PORT = 5000
MLFLOW_DATABASE = Path("runs/mlflow.db")
SPOOL = Path("runs/spool")
VIEW = "polyspace"
"""Key of the view that experiments have in MLflow's menu "Views"."""
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
"""Tag of an experiment that holds it."""


def local(port: int) -> str:
    """Give the address of a server on this machine."""
    return f"http://{HOST}:{port}"


def tracking_uri() -> str:
    """Give MLflow's address: $MLFLOW_TRACKING_URI, or else a database among the runs."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{MLFLOW_DATABASE}"


def artefact_location(experiment: str) -> str | None:
    """Give the folder of an experiment's files; None where the tracking server decides."""
    uri = tracking_uri()
    if not uri.startswith("sqlite:///"):
        return None
    return str(Path(uri.removeprefix("sqlite:///")).parent.resolve() / "mlartifacts" / experiment)


def spool() -> Path:
    """Give the folder of what MLflow is to be told: each database and each server has its own.

    $POLYSPACE_SPOOL, or else beside the database, or else a folder among the runs that is named
    after the server. A password in the address doesn't get into the name.
    """
    if given := os.environ.get("POLYSPACE_SPOOL"):
        return Path(given)
    uri = tracking_uri()
    if uri.startswith("sqlite:///"):
        return Path(uri.removeprefix("sqlite:///")).parent / SPOOL.name
    server = urlsplit(uri)
    place = f"{server.hostname or server.scheme}-{server.port or ''}{server.path}"
    return SPOOL / re.sub(r"[^\w.]+", "-", place).strip("-")


def mlflow_ui(port: int = MLFLOW_PORT) -> str:
    """Give the address of the MLflow UI: the tracking server, or else what `make serve` starts."""
    return _mlflow_page("experiments", port)


def mlflow_run(experiment_id: str, run_id: str) -> str:
    """Give the page of an MLflow run."""
    return _mlflow_page(f"experiments/{experiment_id}/runs/{run_id}", MLFLOW_PORT)


def mlflow_experiment(experiment_id: str, port: int = MLFLOW_PORT) -> str:
    """Give the page of an experiment's runs, with PolySpace's columns and charts."""
    return f"{_mlflow_page(f'experiments/{experiment_id}/runs', port)}&viewStateShareKey={VIEW}"


def _mlflow_page(page: str, port: int) -> str:
    """Give the address of a page; without its ending MLflow shows language models, not training."""
    uri = tracking_uri()
    # A worker beside the server reaches it by another name than people do.
    server = os.environ.get("POLYSPACE_MLFLOW_UI") or (
        uri if uri.startswith("http") else local(port)
    )
    return f"{server}/#/{page}?workflowType=machine_learning"


def prefect_ui() -> str:
    """Give the address of the Prefect UI: the server in use, or else what `make serve` starts."""
    return get_current_settings().ui_url or local(PREFECT_PORT)


def prefect_run(run_id: UUID | str) -> str:
    """Give the page of a flow run."""
    return f"{prefect_ui()}/runs/flow-run/{run_id}"

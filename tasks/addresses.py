"""Where MLflow's database lies, and where the two user interfaces answer."""

import os
from pathlib import Path
from uuid import UUID

from prefect.settings import get_current_settings

HOST = "127.0.0.1"
PREFECT_PORT = 4200
MLFLOW_PORT = 5000
MLFLOW_DATABASE = Path("runs/mlflow.db")


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


def mlflow_ui(port: int = MLFLOW_PORT) -> str:
    """Give the address of the MLflow UI: the tracking server, or else what `make serve` starts."""
    return _mlflow_page("experiments", port)


def mlflow_run(experiment_id: str, run_id: str) -> str:
    """Give the page of an MLflow run."""
    return _mlflow_page(f"experiments/{experiment_id}/runs/{run_id}", MLFLOW_PORT)


def _mlflow_page(page: str, port: int) -> str:
    """Give the address of a page; without its ending MLflow shows language models, not training."""
    uri = tracking_uri()
    server = uri if uri.startswith("http") else local(port)
    return f"{server}/#/{page}?workflowType=machine_learning"


def prefect_ui() -> str:
    """Give the address of the Prefect UI: the server in use, or else what `make serve` starts."""
    return get_current_settings().ui_url or local(PREFECT_PORT)


def prefect_run(run_id: UUID | str) -> str:
    """Give the page of a flow run."""
    return f"{prefect_ui()}/runs/flow-run/{run_id}"

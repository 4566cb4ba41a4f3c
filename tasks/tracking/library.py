"""MLflow's names, imported when the first of them is used.

That takes more than a second of processor time, which a run needs not spend before it begins: the
thread that sends does so, beside the run's own work. Nothing else here may import mlflow before it
is asked for something (tests/architecture/test_imports.py).
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient as MlflowClient
    from mlflow.entities import Dataset as Dataset
    from mlflow.entities import DatasetInput as DatasetInput
    from mlflow.entities import Experiment as Experiment
    from mlflow.entities import InputTag as InputTag
    from mlflow.entities import Metric as Metric
    from mlflow.entities import Param as Param
    from mlflow.entities import Run as Run
    from mlflow.entities import RunTag as RunTag
    from mlflow.entities import ViewType as ViewType
    from mlflow.exceptions import MlflowException as MlflowException

# mlflow reads these while it is imported: nothing is sent home, no pickle is ever loaded, and what
# is said is said here, in one line. A server that is down is given up at once: whatever has to
# reach it waits in the spool, and a request that MLflow repeats by itself may create two runs.
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "CRITICAL")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")

PLACES = {"MlflowClient": "mlflow", "MlflowException": "mlflow.exceptions"}
"""Where names are that are no entities."""


def load() -> None:
    """Import MLflow; while another thread does, wait."""
    import_module("mlflow")


def __getattr__(name: str) -> Any:  # noqa: ANN401  # whatever MLflow has
    """Give what MLflow calls so."""
    if name.startswith("_"):
        raise AttributeError(name)
    return getattr(import_module(PLACES.get(name, "mlflow.entities")), name)

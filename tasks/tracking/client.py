"""The way to MLflow: its settings, its client, and what its failures mean."""

import os
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from polyspace.errors import RecordError
from tasks import addresses

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

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

FAILURES = (MlflowException, OSError, sqlite3.Error)
"""What MLflow raises when it, its server or its database fails."""

REFUSALS = frozenset(
    {
        "BAD_REQUEST",
        "INVALID_PARAMETER_VALUE",
        "INVALID_STATE",
        "RESOURCE_ALREADY_EXISTS",
        "RESOURCE_DOES_NOT_EXIST",
    }
)
"""Answers that stay the same however often one asks."""
CLOSED = frozenset({"PERMISSION_DENIED", "UNAUTHENTICATED", "FEATURE_DISABLED"})
"""What is said by a server that isn't going to change its mind."""


def connect(uri: str | None = None) -> MlflowClient:
    """Open the tracking database or server.

    MLflow tries for minutes to open a local database that it can't: sqlite itself says so at once.

    Args:
        uri: Its address; None: the one that is set now.
    """
    uri = uri or addresses.tracking_uri()
    if uri.startswith("sqlite:///"):
        database = Path(uri.removeprefix("sqlite:///"))
        database.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("pragma user_version").fetchone()
    return MlflowClient(uri)


def is_refusal(error: Exception) -> bool:
    """Say whether MLflow understood and said no, so that trying again is of no use."""
    return isinstance(error, MlflowException) and error.error_code in REFUSALS


def is_outage(error: BaseException) -> bool:
    """Say whether MLflow could not be asked, so that trying again may be of use."""
    if isinstance(error, MlflowException):
        return not is_refusal(error) and error.error_code not in CLOSED
    return isinstance(error, ConnectionError | TimeoutError)


def first_words(error: Exception) -> str:
    """Give the beginning of what MLflow said, in one line."""
    return " ".join(str(error).split())[:200]


@contextmanager
def asked(trouble: str) -> Generator[None]:
    """Say in one line that MLflow couldn't be asked.

    Raises:
        RecordError: It couldn't.
    """
    try:
        yield
    except FAILURES as error:
        raise RecordError(
            f"{trouble} ({first_words(error)}): mend the name, or $MLFLOW_TRACKING_URI"
        ) from error

"""The way to MLflow: its client, and what its failures mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from polyspace.errors import RecordError
from tasks import addresses
from tasks.tracking import library

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


def connect(uri: str | None = None) -> library.MlflowClient:
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
    return library.MlflowClient(uri)


def failures() -> tuple[type[Exception], ...]:
    """Give what MLflow raises when it, its server or its database fails."""
    return library.MlflowException, OSError, sqlite3.Error


def is_refusal(error: Exception) -> bool:
    """Say whether MLflow understood and said no, so that trying again is of no use."""
    return isinstance(error, library.MlflowException) and error.error_code in REFUSALS


def is_outage(error: BaseException) -> bool:
    """Say whether MLflow could not be asked, so that trying again may be of use."""
    if isinstance(error, library.MlflowException):
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
    except failures() as error:
        raise RecordError(
            f"{trouble} ({first_words(error)}): mend the name, or $MLFLOW_TRACKING_URI"
        ) from error

"""Which tasks are tried again, and when."""

import importlib
import importlib.util
import pkgutil

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import ErrorCode
from prefect import Task, task
from prefect.settings import PREFECT_TASK_DEFAULT_RETRIES, temporary_settings
from prefect.states import Failed

import tasks
from polyspace.errors import RecordError, StoreError
from tasks import fusion, outages

ASKING = {"select checkpoint", "compare runs", "register"}
"""Tasks that do nothing but ask MLflow, and write what it said."""


def caused(error, cause):
    error.__cause__ = cause
    return error


def refusal(code):
    return MlflowException("no", error_code=ErrorCode.Value(code))


def copy_of(module):
    """The module, made once more."""
    spec = importlib.util.spec_from_file_location("copy", module.__file__)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def every_task():
    names = [f"tasks.{module.name}" for module in pkgutil.iter_modules(tasks.__path__)]
    found = [vars(importlib.import_module(name)).values() for name in names]
    return {one.name: one for values in found for one in values if isinstance(one, Task)}


def test_only_tasks_that_ask_mlflow_are_tried_again_and_only_after_an_outage():
    found = every_task()
    assert len(found) > 12
    assert {name for name, one in found.items() if one.retries} == ASKING
    for name in ASKING:
        assert found[name].retry_condition_fn is outages.may_pass


def test_prefects_own_default_of_retries_moves_no_stage():
    # A task without a number of its own takes $PREFECT_TASKS_DEFAULT_RETRIES when it is made.
    with temporary_settings({PREFECT_TASK_DEFAULT_RETRIES: 3}):
        assert task(lambda: None).retries == 3
        assert copy_of(fusion).train.retries == 0


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (caused(RecordError("MLflow failed"), MlflowException("no answer")), True),
        (caused(RecordError("MLflow failed"), ConnectionRefusedError()), True),
        (caused(RecordError("x"), caused(RuntimeError("y"), TimeoutError())), True),
        (RecordError("two runs are of other clips"), False),
        (caused(RecordError("no such run"), refusal("RESOURCE_DOES_NOT_EXIST")), False),
        (caused(RecordError("not yours"), refusal("PERMISSION_DENIED")), False),
        (caused(StoreError("no such file"), FileNotFoundError()), False),
        (ValueError("too hot"), False),
    ],
)
def test_what_a_server_did_not_answer_is_asked_again(error, again, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example")
    assert outages.may_pass(None, None, Failed(data=error)) is again


def test_a_database_on_this_machine_does_not_mend_itself(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    error = caused(RecordError("MLflow failed"), MlflowException("file is not a database"))
    assert outages.may_pass(None, None, Failed(data=error)) is False

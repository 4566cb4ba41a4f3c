import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INTERNAL_ERROR,
    PERMISSION_DENIED,
    RESOURCE_DOES_NOT_EXIST,
)

from tasks.tracking import finding


@pytest.mark.parametrize("code", [RESOURCE_DOES_NOT_EXIST, PERMISSION_DENIED])
def test_an_id_that_mlflow_does_not_know_is_looked_for_among_the_tags(client, monkeypatch, code):
    experiment = client.create_experiment("any")
    made = client.create_run(experiment, tags={finding.RUN: "ours"}).info.run_id
    monkeypatch.setattr(client, "get_run", refusing(code))
    found = finding.resolve(client, "ours")
    assert found is not None
    assert found.info.run_id == made
    assert finding.resolve(client, "nobody") is None


def test_a_server_that_fails_is_no_answer(client, monkeypatch):
    monkeypatch.setattr(client, "get_run", refusing(INTERNAL_ERROR))
    with pytest.raises(MlflowException):
        finding.resolve(client, "ours")


def refusing(code):
    """As a server where users have to log in answers to an id that it doesn't know."""

    def get_run(run_id):
        raise MlflowException("no", error_code=code)

    return get_run

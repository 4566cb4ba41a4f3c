import pytest

from flows.services.compose import Service, document
from polyspace.errors import ConfigError


def test_addresses_move_wherever_they_stand_and_numbers_only_alone():
    service = Service(
        ["serve", "--port", "5000", "--host", "0.0.0.0"],
        {"URI": "http://mlflow:5000/x", "HOSTS": "localhost:45000,mlflow:5000", "HOME": "/tmp"},
    )
    moved = service.at(
        {"mlflow:5000": "127.0.0.1:7", "5000": "7", "0.0.0.0": "127.0.0.1", "/tmp": "/tmp/a/tmp"}
    )
    assert moved.command == ["serve", "--port", "7", "--host", "127.0.0.1"]
    assert moved.environment == {
        "URI": "http://127.0.0.1:7/x",
        "HOSTS": "localhost:45000,127.0.0.1:7",
        "HOME": "/tmp/a/tmp",
    }


def test_variables_are_filled_in_as_compose_does(tmp_path):
    path = tmp_path / "compose.yaml"
    path.write_text("a: ${A:-one}\nb: ${B:?set it}\n")
    assert document({"B": "two"}, path) == {"a": "one", "b": "two"}
    assert document({"A": "x", "B": "y"}, path) == {"a": "x", "b": "y"}
    with pytest.raises(ConfigError, match="needs B: set it"):
        document({}, path)

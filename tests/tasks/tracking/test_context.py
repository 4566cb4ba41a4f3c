import subprocess

from mlflow.tracking.context.registry import resolve_tags

from tasks.tracking import context


def test_origins_are_told_as_mlflow_itself_would(monkeypatch):
    # From a file of the repository, whose commit MLflow finds by the program's path.
    monkeypatch.setattr("sys.argv", [context.__file__])
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME", raising=False)
    theirs = resolve_tags()
    theirs.pop("mlflow.source.git.repoURL", None)
    assert context.tags() == theirs


def test_without_git_and_without_a_name_there_is_still_an_origin(monkeypatch):
    def absent(*_, **__):
        raise FileNotFoundError("git")

    def nameless():
        raise KeyError("getpwuid(): uid not found: 1000")

    monkeypatch.setattr(subprocess, "run", absent)
    monkeypatch.setattr("getpass.getuser", nameless)
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME", raising=False)
    context.git.cache_clear()
    try:
        assert set(context.tags()) == {"mlflow.user", "mlflow.source.name", "mlflow.source.type"}
        assert context.tags()["mlflow.user"] == "unknown"
    finally:
        context.git.cache_clear()

import json
import logging

import pytest
from mlflow import MlflowClient

from polyspace.config import Config
from polyspace.engine.loop import Step
from polyspace.errors import RecordError
from tasks import tracking
from tasks.lineage import Source
from tasks.tracking import ALONE, Tracker
from tests.support.stages import follow


class Inner(Config):
    """Inner settings."""

    epochs: int = 2


class Settings(Config):
    """How something is trained."""

    teachers: tuple[str, ...] = ("a", "b")
    inner: Inner = Inner()


def step(epoch, done, loss, *, skipped=False, **scores):
    return Step(epoch, done, 4, {"loss": loss, "cosine": loss / 2}, 0.1, skipped, scores)


def training():
    yield step(1, 1, 4.0)
    yield step(1, 2, 2.0, r2=0.1)
    yield step(2, 3, float("nan"), skipped=True)
    yield step(2, 4, 1.0, r2=0.5)
    return "weights.pt"


def runs(client, dataset="motion"):
    experiment = client.get_experiment_by_name(f"polyspace/{dataset}")
    return {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}


def history(client, run, metric):
    points = client.get_metric_history(run.info.run_id, metric)
    return [(point.step, point.value) for point in points]


def test_settings_become_readable_params_and_the_docstring_the_description(client):
    with tracking.run("train", Settings(), "motion", ALONE):
        pass

    run = runs(client)["train"]
    assert run.data.params == {"teachers": "a, b", "inner.epochs": "2"}
    assert run.data.tags["mlflow.note.content"] == "How something is trained."
    assert run.info.status == "FINISHED"


def test_the_experiment_is_shown_as_model_training_and_named_after_the_data(client):
    with tracking.run("train", Settings(), "ucf101", ALONE):
        pass

    experiment = client.get_experiment_by_name("polyspace/ucf101")
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"


def test_stages_nest_under_the_pipeline(client):
    with tracking.pipeline("distill", Settings(), "motion", enabled=True) as tracker:
        with tracking.run("train", Settings(), "motion", tracker):
            pass
        tracking.resume(tracker).tags({"note": "added later"})

    found = runs(client)
    pipeline = found["distill: a + b"]
    assert found["train"].data.tags["mlflow.parentRunId"] == pipeline.info.run_id
    assert pipeline.data.tags["note"] == "added later"
    assert pipeline.data.tags["polyspace.stage"] == "distill"


def test_a_run_nests_under_one_that_another_machine_began(client, tmp_path, monkeypatch):
    with tracking.pipeline("sweep", Settings(), "motion", enabled=True) as tracker:
        tracking.resume(tracker).flush()
        with monkeypatch.context() as elsewhere:
            elsewhere.setenv("POLYSPACE_SPOOL", str(tmp_path / "elsewhere"))
            with tracking.run("trial 0", Settings(), "motion", tracker):
                pass

    found = runs(client)
    (parent,) = [run.info.run_id for name, run in found.items() if name.startswith("sweep")]
    assert found["trial 0"].data.tags["mlflow.parentRunId"] == parent


def test_following_passes_everything_on_and_records_one_point_an_epoch(client):
    with tracking.run("train", Settings(), "motion", ALONE) as record:
        steps, result = follow(tracking.follow(record, training()))

    assert len(steps) == 4
    assert result == "weights.pt"
    run = runs(client)["train"]
    assert history(client, run, "loss/loss") == [(1, 3.0), (2, 1.0)]
    assert history(client, run, "loss/cosine") == [(1, 1.5), (2, 0.5)]
    assert history(client, run, "hold_out/r2") == [(1, 0.1), (2, 0.5)]
    assert history(client, run, "skipped_steps") == [(1, 0.0), (2, 1.0)]
    assert history(client, run, "lr") == [(1, 0.1), (2, 0.1)]


def test_what_a_run_reads_is_recorded_by_its_digest(client, tmp_path):
    source = Source("train", tmp_path / "motion_train.zarr", "0123456789abcdef" * 4)

    with tracking.run("train", Settings(), "motion", ALONE) as record:
        record.sources([source], "motion")

    (entry,) = runs(client)["train"].inputs.dataset_inputs
    assert entry.dataset.name == "motion train"
    assert entry.dataset.digest == source.digest[:12]
    assert json.loads(entry.dataset.profile) == {"sha256": source.digest}
    assert json.loads(entry.dataset.source) == {"uri": str(source.path)}
    assert [(tag.key, tag.value) for tag in entry.tags] == [("mlflow.data.context", "train")]


def test_artefacts_are_copied_beside_the_database(client, tmp_path):
    file = tmp_path / "curves.json"
    file.write_text("{}")

    with tracking.run("train", Settings(), "motion", ALONE) as record:
        record.artefacts([file])

    run = runs(client)["train"]
    assert [entry.path for entry in client.list_artifacts(run.info.run_id)] == ["curves.json"]
    assert run.info.artifact_uri.startswith(str(tmp_path / "mlflow" / "mlartifacts"))


def test_a_run_that_fails_is_marked_with_its_error_and_the_error_goes_on(client):
    with (
        pytest.raises(ValueError, match="too hot"),
        tracking.run("train", Settings(), "motion", ALONE),
    ):
        raise ValueError("too hot")

    run = runs(client)["train"]
    assert run.info.status == "FAILED"
    assert run.data.tags["error"] == "ValueError: too hot"


def test_an_interrupted_run_is_marked_as_killed(client):
    with (
        pytest.raises(KeyboardInterrupt),
        tracking.run("train", Settings(), "motion", ALONE),
    ):
        raise KeyboardInterrupt

    assert runs(client)["train"].info.status == "KILLED"


def test_switched_off_nothing_is_written_and_the_result_is_the_same(mlflow_uri):
    tracker = Tracker(enabled=False)

    with tracking.run("train", Settings(), "motion", tracker) as record:
        steps, result = follow(tracking.follow(record, training()))

    assert (len(steps), result) == (4, "weights.pt")
    assert record.run_id is None
    assert MlflowClient(mlflow_uri).get_experiment_by_name("polyspace/motion") is None


def test_a_database_that_cannot_be_opened_costs_one_warning_and_no_training(
    monkeypatch, tmp_path, caplog
):
    broken = tmp_path / "mlflow.db"
    broken.write_text("this is no database, however long one looks at it " * 100)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{broken}")

    with (
        caplog.at_level(logging.WARNING, logger="tasks.tracking"),
        tracking.pipeline("distill", Settings(), "motion", enabled=True) as tracker,
        tracking.run("train", Settings(), "motion", tracker) as record,
    ):
        _, result = follow(tracking.follow(record, training()))

    assert result == "weights.pt"
    assert [line.message for line in caplog.records] == [
        "MLflow failed, the run goes on without it: file is not a database; what it is to be told "
        f"waits in {tmp_path}/spool"
    ]


def test_a_file_that_is_not_there_costs_one_warning_and_nothing_else(client, caplog, tmp_path):
    with (
        caplog.at_level(logging.WARNING, logger="tasks.tracking"),
        tracking.run("train", Settings(), "motion", ALONE) as record,
    ):
        record.artefacts([tmp_path / "no such file"])
        _, result = follow(tracking.follow(record, training()))

    assert result == "weights.pt"
    assert len(caplog.records) == 1
    assert history(client, runs(client)["train"], "hold_out/r2") == [(1, 0.1), (2, 0.5)]


def test_files_that_a_run_kept_are_fetched(client, tmp_path):
    (tmp_path / "kept.json").write_text("{}")
    with tracking.run("evaluate", Settings(), "motion", ALONE) as record:
        record.artefacts([tmp_path / "kept.json"])
    assert record.run_id
    (tmp_path / "into").mkdir()
    folder = tracking.fetch(record.run_id, ["kept.json"], tmp_path / "into")
    assert (folder / "kept.json").read_text() == "{}"


def test_a_deleted_run_and_one_that_kept_nothing_are_refused_in_one_line(client, tmp_path):
    with tracking.run("evaluate", Settings(), "motion", ALONE) as record:
        pass
    assert record.run_id
    with pytest.raises(RecordError, match=f"{record.run_id} can't be compared"):
        tracking.fetch(record.run_id, ["evaluation.json"], tmp_path)
    client.delete_run(record.run_id)
    with pytest.raises(RecordError, match=f"{record.run_id} was deleted.*mlflow runs restore"):
        tracking.fetch(record.run_id, ["evaluation.json"], tmp_path)
    with pytest.raises(RecordError, match="can't be compared"):
        tracking.fetch("0" * 32, ["evaluation.json"], tmp_path)

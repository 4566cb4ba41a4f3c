"""Looks at a test split, counted in a real MLflow database of the test's own."""

import json

import pytest
from mlflow import MlflowClient

from polyspace.config import Config
from polyspace.engine.loop import Step
from polyspace.report.records import looks as report
from tasks import looks, stages, tracking
from tasks.lineage import Source
from tasks.looks import Look
from tasks.stages import Stage
from tasks.tracking import ALONE, Tracker

TEST, OTHER_TEST = "ab" * 32, "cd" * 32


class Settings(Config):
    """How something is evaluated."""

    seed: int = 0


@pytest.fixture
def evaluate(tmp_path, mlflow_uri):
    """Evaluate a model on a test store; give what came before, as protocol.json has it."""

    def once(model="m1", test=TEST, *, tracker=ALONE, folder=None, fails=False, seed=0):
        out = folder or tmp_path / f"out-{model}-{test[:2]}-{seed}"

        def work():
            out.mkdir(exist_ok=True)
            yield Step(1, 1, 1, {"loss": 1.0}, 0.1, False, {})
            if fails:
                raise ValueError("too hot")
            (out / "evaluation.json").write_text(json.dumps({"model": model}))
            return out / "evaluation.json"

        look = Look(model, test, "motion", "test")
        stage = Stage(
            name="evaluate",
            config=Settings(seed=seed),
            dataset="motion",
            folder=out,
            sources=(Source("test", tmp_path, test), Source("fusion", tmp_path, model)),
        )
        path = stages.run(stage, lambda record: looks.watched(work(), record, look, out), tracker)
        return json.loads(path.with_name("protocol.json").read_text())

    return once


def seen(found):
    return found["looks_model"], found["looks_dataset"]


def runs(client):
    experiment = client.get_experiment_by_name("polyspace/motion")
    return client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])


def test_looks_are_counted_by_model_and_by_test_store(evaluate):
    assert seen(evaluate("m1", seed=0)) == (0, 0)
    assert seen(evaluate("m1", seed=1)) == (1, 1)
    assert seen(evaluate("m2", seed=2)) == (0, 2)
    assert seen(evaluate("m1", OTHER_TEST)) == (0, 0)
    assert seen(evaluate("m2", seed=3)) == (1, 3)


def test_the_run_is_tagged_with_what_it_looks_at_and_what_came_before(evaluate, client):
    evaluate(seed=0)
    evaluate(seed=1)
    first, second = runs(client)
    assert first.data.tags["test_fingerprint"] == second.data.tags["test_fingerprint"] == TEST
    assert (first.data.tags["test_model"], first.data.tags["test_split"]) == ("m1", "test")
    assert (first.data.metrics["test_looks"], second.data.metrics["test_looks"]) == (0, 1)
    assert second.data.tags["test_looks_model"] == "1"


def test_a_reused_result_is_no_look_and_asks_nobody(evaluate, client, tmp_path, capsys):
    evaluate()
    assert seen(evaluate()) == (0, 0)
    assert len(runs(client)) == 1
    assert seen(evaluate(folder=tmp_path / "elsewhere")) == (1, 1)
    said = capsys.readouterr().out
    assert said.count("the first tracked look at it") == 1
    assert "motion test: looked at once before, once of this model" in said


def test_a_look_that_failed_was_a_look(evaluate):
    with pytest.raises(ValueError, match="too hot"):
        evaluate(fails=True)
    assert seen(evaluate()) == (1, 1)


def test_deleted_runs_and_runs_of_deleted_experiments_count_and_are_said(evaluate, client, capsys):
    evaluate(seed=0)
    client.delete_run(runs(client)[0].info.run_id)
    found = evaluate(seed=1)
    assert (seen(found), found["deleted"]) == ((1, 1), 1)
    assert found["words"].endswith("1 of them deleted since")


def test_a_run_of_another_kind_is_no_look(evaluate, client):
    with tracking.run("train", Settings(), "motion", ALONE):
        pass
    assert seen(evaluate()) == (0, 0)


def test_other_experiments_count_too(evaluate):
    with tracking.run("evaluate", Settings(), "an ablation", ALONE) as record:
        record.tags(Look("m1", TEST, "motion", "test").tags)
    assert seen(evaluate()) == (1, 1)


def test_untracked_it_says_so_and_writes_the_same_files(evaluate, client, capsys):
    found = evaluate(tracker=Tracker(enabled=False))
    assert (found["tracked"], *seen(found)) == (False, None, None)
    assert "not counted" in capsys.readouterr().out
    assert seen(evaluate(seed=1)) == (0, 0)


def test_a_broken_database_counts_nothing_and_costs_no_evaluation(evaluate, monkeypatch, tmp_path):
    broken = tmp_path / "broken.db"
    broken.write_text("this is no database, however long one looks at it " * 100)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{broken}")
    assert evaluate()["tracked"] is False


def test_more_runs_than_a_page_are_all_counted(evaluate, client, monkeypatch):
    for seed in range(3):
        evaluate(seed=seed)
    whole = MlflowClient.search_runs

    def one_at_a_time(self, *given, **named):
        return whole(self, *given, **named, max_results=1)

    monkeypatch.setattr(MlflowClient, "search_runs", one_at_a_time)
    assert seen(evaluate(seed=3)) == (3, 3)


def test_the_report_reads_what_was_written(evaluate, tmp_path):
    evaluate(seed=0)
    evaluate(folder=tmp_path / "out", seed=1)
    found = report.read(tmp_path / "out" / "evaluation.json")
    assert (found.tracked, found.looks_model, found.looks_dataset) == (True, 1, 1)
    assert found.words == "looked at once before, once of this model"

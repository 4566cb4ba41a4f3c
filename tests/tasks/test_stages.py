import json
from dataclasses import replace

import pytest

from polyspace.config import Config
from polyspace.engine.loop import Step
from tasks import stages, tracking
from tasks.lineage import Source
from tasks.stages import Stage
from tasks.tracking import ALONE, Tracker


class Settings(Config):
    """How something is trained."""

    epochs: int = 1


@pytest.fixture
def stage(tmp_path):
    return Stage(
        name="train",
        config=Settings(),
        dataset="motion",
        folder=tmp_path / "out",
        sources=(Source("train", tmp_path, "ab" * 32),),
        keep=("*.pt",),
        figures=("scores.json",),
    )


def work(folder, started, weights=b"weights"):
    started.append(True)
    folder.mkdir(exist_ok=True)
    yield Step(1, 1, 1, {"loss": 1.0}, 0.1, False, {"top1": 0.5})
    (folder / "weights.pt").write_bytes(weights)
    (folder / "scores.json").write_text(json.dumps({"top1": 0.5}))
    return folder / "weights.pt"


@pytest.fixture
def run(stage, mlflow_uri):
    """Run the stage; say how often its work was started so far."""
    started = []

    def once(stage=stage, tracker=ALONE):
        result = stages.run(stage, work(stage.folder, started), tracker)
        assert result == stage.folder / "weights.pt"
        return len(started)

    return once


def test_a_stage_runs_once_and_says_so_when_it_is_skipped(run, capsys):
    assert (run(), run()) == (1, 1)
    assert "train: nothing changed since" in capsys.readouterr().out


def test_a_changed_artefact_runs_the_stage_again_and_mends_it(run, stage):
    run()
    (stage.folder / "weights.pt").write_bytes(b"weightz")

    assert run() == 2
    assert (stage.folder / "weights.pt").read_bytes() == b"weights"
    assert run() == 2


def test_other_settings_run_the_stage_again(run, stage):
    run()

    assert run(_changed(stage, config=Settings(epochs=2))) == 2


def test_other_inputs_run_the_stage_again(run, stage, tmp_path):
    run()

    assert run(_changed(stage, sources=(Source("train", tmp_path, "cd" * 32),))) == 2


def test_a_stage_that_fails_leaves_no_receipt(stage, mlflow_uri):
    def failing():
        stage.folder.mkdir()
        yield Step(1, 1, 1, {"loss": 1.0}, 0.1, False)
        raise ValueError("too hot")

    with pytest.raises(ValueError, match="too hot"):
        stages.run(stage, failing(), ALONE)

    assert not (stage.folder / "receipt.json").exists()


def test_what_is_worth_keeping_and_its_figures_go_to_mlflow(run, client):
    run()

    experiment = client.get_experiment_by_name("polyspace/motion")
    (found,) = client.search_runs([experiment.experiment_id])
    assert [entry.path for entry in client.list_artifacts(found.info.run_id)] == ["weights.pt"]
    assert found.data.metrics["top1"] == 0.5
    assert found.data.metrics["hold_out/top1"] == 0.5
    assert found.inputs.dataset_inputs[0].dataset.name == "motion train"


def test_a_skipped_stage_leaves_its_earlier_run_with_the_pipeline(run, stage, client):
    run()
    with tracking.pipeline("distill", Settings(), "motion", enabled=True) as tracker:
        run(tracker=tracker)

    experiment = client.get_experiment_by_name("polyspace/motion")
    found = {r.info.run_name: r for r in client.search_runs([experiment.experiment_id])}
    assert found["distill"].data.tags["reused.train"] == found["train"].info.run_id


def test_a_name_with_signs_that_mlflow_refuses_is_tagged_without_them(run, stage, client):
    named = replace(stage, name="train, seed 0")
    run(named)
    with tracking.pipeline("ablate", Settings(), "motion", enabled=True) as tracker:
        run(named, tracker)
    experiment = client.get_experiment_by_name("polyspace/motion")
    found = {r.info.run_name: r for r in client.search_runs([experiment.experiment_id])}
    tags = found["ablate"].data.tags
    assert tags["reused.train seed 0"] == found["train, seed 0"].info.run_id


def test_without_tracking_the_artefacts_are_the_same(run, stage):
    run(tracker=Tracker(enabled=False))
    untracked = (stage.folder / "weights.pt").read_bytes()
    run(_changed(stage, config=Settings(epochs=2)))

    assert (stage.folder / "weights.pt").read_bytes() == untracked


def _changed(stage, **changes):
    return Stage(**{**vars(stage), **changes})

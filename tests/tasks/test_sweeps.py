"""Whole sweeps of small stages: stopped, killed, shared, and compared at the end."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

from polyspace.errors import CheckpointError, ConfigError, StoppedError, SweepError
from polyspace.report.sweeps import Sweep
from polyspace.train import sweep
from polyspace.train.sweep import SweepConfig
from tasks import names, studies, sweeps, tracking, trials
from tasks.tracking import Tracker
from tests.support.sweeps import UNTRACKED, converter_stage, four_points, fusion_stage, make_inputs

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A store and converters; not to be written to."""
    return make_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(autouse=True)
def _quick_looks(monkeypatch):
    monkeypatch.setattr(sweeps, "LOOK_SECONDS", 0.1)


@pytest.fixture
def grid(inputs, tmp_path):
    return four_points(inputs, tmp_path / "sweep")


def changed(config, stage=(), **changes):
    """The same sweep with some settings changed, of the stage or its own."""
    new = config.stage.model_copy(update=dict(stage))
    return config.model_copy(update={"stage": new, **changes})


def concluded(config):
    sweeps.conclude.fn(config, UNTRACKED)
    return Sweep.model_validate_json((config.out / "sweep.json").read_text())


def trainings(config):
    """When each training of a sweep was finished, by its folder."""
    found = sorted((config.out / "trials").glob("*/seed_*/receipt.json"))
    return {path.parent: path.stat().st_mtime_ns for path in found}


def test_a_grid_ends_in_one_table_of_every_point(grid, capsys):
    sweeps.drain(grid, UNTRACKED)
    found = concluded(grid)

    points = {(trial.settings["rank"], trial.settings["dropout"]) for trial in found.trials}
    assert points == set(product("24", ("0.1", "0.5")))
    assert [trial.state for trial in found.trials] == ["complete"] * 4
    scores = [list(trial.scores.values()) for trial in found.trials]
    assert scores == sorted(scores, reverse=True)
    said = capsys.readouterr().out
    assert f"best     {grid.out}/trials/{found.trials[0].number:03d}" in said
    assert "4/4  trial 3: top-1 " in said
    assert (grid.out / "sweep.png").read_bytes().startswith(b"\x89PNG")
    page = (grid.out / "sweep.md").read_text()
    for trial in found.trials:
        assert f"({trial.checkpoint})" in page
        assert (grid.out / str(trial.checkpoint)).is_file()


def test_the_best_is_what_the_stage_itself_would_have_made(grid):
    sweeps.drain(grid, UNTRACKED)
    best = concluded(grid).trials[0]
    settings = {"rank": int(best.settings["rank"]), "dropout": float(best.settings["dropout"])}
    alone = changed(grid, settings | {"save_dir": grid.out.parent / "alone"}).stage
    for _ in sweep.run(alone):
        pass
    assert best.scores == sweep.result(alone, alone.save_dir / "fusion.pt").scores


def test_the_same_sweep_again_trains_nothing(grid):
    sweeps.drain(grid, UNTRACKED)
    before, first = trainings(grid), concluded(grid)
    sweeps.drain(grid, UNTRACKED)
    assert trainings(grid) == before
    assert concluded(grid).trials == first.trials


def test_seeds_are_repeated_and_summed_up(grid):
    config = changed(grid, {"seed": 3}, search=("rank=2,4",), seeds=3)
    sweeps.drain(config, UNTRACKED)
    found = concluded(config)
    assert found.seeds == (3, 4, 5)
    for trial in found.trials:
        tops = [training.scores["top1"] for training in trial.trainings]
        assert [training.seed for training in trial.trainings] == [3, 4, 5]
        assert trial.scores["top1"] == pytest.approx(sum(tops) / 3)
        assert trial.sd is not None
        assert trial.checkpoint == f"trials/{trial.number:03d}/seed_3/fusion.pt"


def test_converters_are_ranked_by_what_they_explain(inputs, tmp_path):
    config = SweepConfig(
        stage=converter_stage(inputs), search=("kind=mean,ridge,low_rank",), out=tmp_path / "sweep"
    )
    sweeps.drain(config, UNTRACKED)
    found = concluded(config)
    assert found.trials[0].settings["kind"] in ("ridge", "low_rank")
    assert found.trials[-1].settings == {"kind": "mean"}
    assert found.trials[-1].scores["r2"] == pytest.approx(0, abs=0.3)
    assert found.trials[0].scores["r2"] > 0.8
    assert str(found.trials[0].checkpoint).endswith("/converters.pt")


@pytest.fixture
def uneven(inputs, tmp_path):
    """Two settings that get better, and two whose steps are far too long."""
    return SweepConfig(
        stage=converter_stage(inputs, kind="residual_mlp", epochs=6),
        search=("lr=0.001,0.002,2,3",),
        out=tmp_path / "sweep",
        method="grid",
        prune_after_trials=2,
        prune_after_epochs=3,
    )


def test_poor_trials_are_pruned_and_say_when(uneven):
    sweeps.drain(uneven, UNTRACKED)
    found = {trial.settings["lr"]: trial for trial in concluded(uneven).trials}
    assert [found[lr].state for lr in ("0.001", "0.002")] == ["complete"] * 2
    for lr in ("2.0", "3.0"):
        assert found[lr].state == "pruned"
        assert 3 <= found[lr].epochs < 6
        assert found[lr].why == f"after epoch {found[lr].epochs}"
        assert found[lr].checkpoint is None
        assert len(found[lr].curve) == found[lr].epochs


def test_a_setting_that_fails_is_recorded_and_the_others_go_on(inputs, tmp_path):
    config = SweepConfig(
        stage=converter_stage(inputs, kind="residual_mlp"),
        search=("batch=1,16", "losses=l1=1,info_nce=1"),
        out=tmp_path / "sweep",
        method="grid",
    )
    sweeps.drain(config, UNTRACKED)
    found = concluded(config)
    assert [trial.state for trial in found.trials] == ["complete"] * 3 + ["failed"]
    assert found.trials[-1].settings == {"batch": "1", "losses": "info_nce=1"}
    assert "info_nce" in found.trials[-1].why


def test_a_sweep_whose_trials_all_fail_is_an_error(inputs, tmp_path):
    config = SweepConfig(
        stage=fusion_stage(inputs), search=("student=flow,look",), out=tmp_path / "sweep"
    )
    sweeps.drain(config, UNTRACKED)
    with pytest.raises(SweepError, match=r"all 2 trials failed: .* translates from stu, not from"):
        concluded(config)
    assert "failed" in (config.out / "sweep.md").read_text()


def test_a_sweep_that_is_told_to_stop_goes_on_with_the_same_trial(grid, capsys):
    quick = {"epochs": 8, "save_every_steps": 1}
    with pytest.raises(StoppedError):
        sweeps.drain(changed(grid, {**quick, "max_minutes": 1e-9}), UNTRACKED)
    config = changed(grid, quick)
    with studies.opened(config, sweeps.identity(config)) as study:
        assert [trial.state.name for trial in study.trials] == ["RUNNING"]
    sweeps.drain(config, UNTRACKED)
    assert "going on after step" in capsys.readouterr().out
    assert len(concluded(config).trials) == 4


def test_a_trial_that_is_taken_up_goes_on_in_its_own_mlflow_run(grid, client):
    quick = {"epochs": 4, "save_every_steps": 1}
    with pytest.raises(StoppedError):
        sweeps.drain(changed(grid, {**quick, "max_minutes": 1e-9}), Tracker())
    (begun,) = client.search_runs([client.get_experiment_by_name("polyspace/toy").experiment_id])
    sweeps.drain(changed(grid, quick), Tracker())

    runs = client.search_runs([begun.info.experiment_id])
    assert sorted(run.info.run_name for run in runs) == [f"trial {n}, seed 0" for n in range(4)]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert begun.info.run_id in {run.info.run_id for run in runs}
    steps = [one.step for one in client.get_metric_history(begun.info.run_id, "hold_out/top1")]
    assert sorted(steps) == [0, 1, 2, 3, 4]


def test_a_state_of_another_device_is_begun_again(grid, monkeypatch):
    quick = {"epochs": 8, "save_every_steps": 1}
    with pytest.raises(StoppedError):
        sweeps.drain(changed(grid, {**quick, "max_minutes": 1e-9}), UNTRACKED)
    monkeypatch.setattr("torch.__version__", "0.0")
    sweeps.drain(changed(grid, quick), UNTRACKED)
    assert [trial.state for trial in concluded(changed(grid, quick)).trials] == ["complete"] * 4


def start(config, path):
    """Begin a worker in a process of its own."""
    path.write_text(config.model_dump_json())
    command = (sys.executable, "-m", "tests.support.sweeps", str(path))
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
        stdout=subprocess.DEVNULL,
    )


def wait_for(condition):
    patience = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < patience
        time.sleep(0.01)


@pytest.mark.slow
def test_processes_share_a_sweep_and_take_up_what_a_killed_one_had(grid, tmp_path):
    settings = {"epochs": 15, "save_every_steps": 1}
    config = changed(grid, settings, search=("rank=2,3,4,5,6,7",))
    whole = changed(config, out=tmp_path / "whole")
    sweeps.drain(whole, UNTRACKED)

    victim = start(config, tmp_path / "victim.json")
    wait_for(lambda: list(config.out.glob("trials/*/seed_0/unfinished/run_*.pt")))
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    before = trainings(config)
    with studies.opened(config, sweeps.identity(config)) as study:
        assert study.trials[-1].state.name == "RUNNING"

    other = start(config, tmp_path / "other.json")
    sweeps.drain(config, UNTRACKED)
    assert other.wait() == 0

    found = concluded(config)
    assert [trial.state for trial in found.trials] == ["complete"] * 6
    assert {path: trainings(config)[path] for path in before} == before
    assert len(trainings(config)) == 6
    assert not list((config.out / "leases").iterdir())
    for one, same in zip(found.trials, concluded(whole).trials, strict=True):
        assert (one.number, one.settings, one.curve) == (same.number, same.settings, same.curve)
        assert one.scores == same.scores


def test_other_settings_in_the_same_folder_are_refused(grid):
    sweeps.drain(changed(grid, search=("rank=2,4",)), UNTRACKED)
    with pytest.raises(ConfigError, match=r"holds a sweep with stage\.lr 0\.003, now it is 0\.1"):
        sweeps.drain(changed(grid, {"lr": 0.1}, search=("rank=2,4",)), UNTRACKED)
    with pytest.raises(ConfigError, match=r"holds a sweep with search .*rank=2,4.*rank=2,8"):
        sweeps.drain(changed(grid, search=("rank=2,8",)), UNTRACKED)


def test_files_that_are_not_there_are_refused_before_anything_runs(grid):
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*nowhere\.pt"):
        sweeps.identity(changed(grid, search=("converters=nowhere.pt",)))
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*gone\.pt"):
        sweeps.identity(changed(grid, {"converters": Path("gone.pt")}))


def test_the_hold_out_alone_is_read(grid, inputs):
    assert not list((inputs / "features").glob("*test*"))
    sweeps.drain(changed(grid, search=("rank=2,4",)), UNTRACKED)


def test_trials_nest_under_one_run_however_often_the_sweep_is_begun(uneven, client):
    for _ in range(2):
        with sweeps.tracked(uneven, enabled=True) as tracker:
            sweeps.drain(uneven, tracker)
            sweeps.conclude.fn(uneven, tracker)

    experiment = client.get_experiment_by_name("polyspace/toy")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    nested = [f"trial {number}, seed 0" for number in range(4)]
    whole = names.of("sweep", uneven)
    assert runs.keys() == {whole, *nested}
    parent = runs[whole].info.run_id
    for name in nested:
        assert runs[name].data.tags["mlflow.parentRunId"] == parent
    assert runs[nested[2]].info.status == "KILLED"
    assert runs[nested[2]].data.tags["pruned"].startswith("after epoch")
    assert "hold_out/r2" in runs[nested[2]].data.metrics
    assert runs[nested[0]].data.params["lr"] == "0.001"
    assert runs[whole].info.status == "FINISHED"
    assert runs[whole].data.tags["best"] in ("trial 0", "trial 1")
    kept = {entry.path for entry in client.list_artifacts(parent)}
    assert kept == {"sweep.md", "sweep.json", "sweep.png"}


def test_tracked_or_not_the_results_are_the_same(grid, client):
    plain = changed(grid, search=("rank=2,4",))
    followed = changed(plain, out=grid.out.parent / "tracked")
    sweeps.drain(plain, UNTRACKED)
    with sweeps.tracked(followed, enabled=True) as tracker:
        sweeps.drain(followed, tracker)
    one, other = concluded(plain), concluded(followed)
    assert [t.scores for t in one.trials] == [t.scores for t in other.trials]
    assert [t.curve for t in one.trials] == [t.curve for t in other.trials]


def test_a_part_says_where_the_study_is_missing(grid):
    with pytest.raises(SweepError, match="can't be seen from"):
        sweeps.share.fn(grid, UNTRACKED)


def test_parts_get_terms_that_hold_in_any_folder(grid, inputs, monkeypatch):
    monkeypatch.chdir(inputs)
    config = changed(
        grid, {"root": Path("features")}, search=("converters=converters/converters.pt",)
    )
    said: Any = sweeps._for_workers(config)
    assert said["search"] == [f"converters={inputs}/converters/converters.pt"]
    assert said["stage"]["root"] == str(inputs / "features")
    again = SweepConfig.model_validate(json.loads(json.dumps(said)))
    assert sweeps.identity(again) == sweeps.identity(config)


def test_pruning_is_no_error_in_a_run(mlflow_uri, client, grid):
    with (
        pytest.raises(tracking.PrunedError),
        tracking.run("trial", grid, "toy", tracking.ALONE) as record,
    ):
        raise tracking.PrunedError("after epoch 2")
    found = client.get_run(record.run_id)
    assert (found.info.status, found.data.tags["pruned"]) == ("KILLED", "after epoch 2")
    assert "error" not in found.data.tags


def test_memory_that_is_used_up_is_a_failure_of_the_setting():
    assert torch.OutOfMemoryError in trials.FAILURES

"""Runs that are stopped, killed or changed half-way, by the commands that people type."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from itertools import islice
from pathlib import Path

import pytest
import torch

from polyspace.engine import checkpoint
from polyspace.errors import CheckpointError, StoppedError
from polyspace.train import train_converter, train_fusion

ROOT = Path(__file__).parents[3]
CHANGES = {"ema": 0.9, "accumulate": 2, "save_every_steps": 1, "epochs": 3}


@pytest.fixture(params=["converters", "fusion"])
def stage(request, features, converters, converter_settings, fusion_settings):
    """A stage's run, as a function of where it goes and of its settings."""
    if request.param == "converters":
        return behind(features, converter_settings)
    return lambda folder, **changes: train_fusion.run(
        fusion_settings(features, converters, folder, **{"batch": 8} | changes)
    )


def behind(features, converter_settings, **always):
    """Give a run of converters, as a function of where it goes and of its settings."""
    return lambda folder, **changes: train_converter.run(
        converter_settings(features, folder, **{"batch": 8} | always | changes)
    )


def results(path):
    """Read all that a run left: every checkpoint's tensors and scores, and the curves."""
    states = {
        file.name: torch.load(file, weights_only=True) for file in sorted(path.parent.glob("*.pt"))
    }
    curves = json.loads((path.parent / "curves.json").read_text())
    return {name: (state["state"], state["scores"]) for name, state in states.items()}, curves


def assert_same(first, second):
    assert first[1] == second[1]
    assert first[0].keys() == second[0].keys()
    for name, (state, scores) in first[0].items():
        assert scores == second[0][name][1]
        assert all(torch.equal(value, second[0][name][0][key]) for key, value in state.items())


@pytest.mark.parametrize("flags", [{}, {"use_amp": True}], ids=["fp32", "fp16"])
def test_a_run_that_is_stopped_again_and_again_leaves_what_an_undisturbed_one_does(
    stage, tmp_path, finish, flags, capsys
):
    interrupt(stage, tmp_path, finish, flags)
    assert capsys.readouterr().out.count("going on after step") == 3


@pytest.mark.parametrize("balance", ["drop", "explained", "uncertainty"])
def test_neither_trunk_nor_balance_is_disturbed_by_being_stopped(
    features, converter_settings, tmp_path, finish, balance, capsys
):
    stage = behind(features, converter_settings, trunk=8, balance=balance)
    interrupt(stage, tmp_path, finish, {})
    assert capsys.readouterr().out.count("going on after step") == 3


def interrupt(stage, tmp_path, finish, flags):
    """Stop a run again and again; compare what it leaves with what an undisturbed one does."""
    whole = finish(stage(tmp_path / "whole", **CHANGES, **flags))
    for steps in (1, 3, 2, 4):
        run = stage(tmp_path / "stopped", **CHANGES, **flags)
        list(islice(run, steps))
        run.close()
    stopped = finish(stage(tmp_path / "stopped", **CHANGES, **flags))
    assert_same(results(stopped), results(whole))
    assert not list((tmp_path / "stopped" / "unfinished").iterdir())


def test_a_run_goes_on_only_with_the_settings_that_it_had(stage, tmp_path):
    list(islice(stage(tmp_path, save_every_steps=1), 4))
    with pytest.raises(CheckpointError, match=r"config\.lr 0\.\d+, now it is 0\.5: give the same"):
        next(stage(tmp_path, lr=0.5))
    with pytest.raises(CheckpointError, match=r"--resume precision allows it"):
        next(stage(tmp_path, use_bf16=True))
    assert next(stage(tmp_path, lr=0.5, resume="never")).done == 0


def test_training_goes_on_in_another_precision_where_that_is_asked_for(stage, tmp_path, finish):
    list(islice(stage(tmp_path, save_every_steps=1), 5))
    run = stage(tmp_path, use_bf16=True, resume="precision")
    assert next(run).done == 4
    kind = "converters" if (tmp_path / "converters_ep0.pt").is_file() else "fusion"
    made = checkpoint.load(finish(run), kind)
    assert made["provenance"]["precision"]["compute"] == "bf16"
    assert {value.dtype for value in made["state"].values()} == {torch.float32}


def test_a_run_that_may_take_no_longer_says_how_to_go_on(stage, tmp_path):
    with pytest.raises(StoppedError, match=r"after step 0 of \d+ \(--max-minutes"):
        list(stage(tmp_path, max_minutes=1e-9))


def test_each_step_of_a_stopped_run_has_been_told(stage, tmp_path):
    whole = [step.done for step in stage(tmp_path / "whole")]
    told = []
    while not told or told[-1] != whole[-1]:
        with suppress(StoppedError):
            told.extend(step.done for step in stage(tmp_path / "parts", max_minutes=1e-9))
    assert told == whole


def test_training_ends_early_where_nothing_becomes_better(stage, tmp_path, finish):
    settings = {"epochs": 30, "early_stop": 2, "lr": 1e-12, "save_every_steps": 1}
    path = finish(stage(tmp_path, **settings))
    assert len(json.loads((path.parent / "curves.json").read_text())["epochs"]) < 15


def test_what_an_early_end_leaves_is_the_best_averaged_weights(stage, tmp_path, finish):
    path = finish(stage(tmp_path, epochs=30, early_stop=1, ema=0.9, lr=0.3))
    kind = path.stem
    kept = checkpoint.load(path, kind)
    epochs = sorted(tmp_path.glob("*_ep*.pt"), key=lambda file: int(file.stem.split("_ep")[1]))
    states = [checkpoint.load(file, kind)["state"] for file in epochs]
    assert len(epochs) < 31
    for name, value in kept["state"].items():
        assert any(torch.equal(value, state[name]) for state in states), name


def test_only_the_best_and_the_last_checkpoints_are_kept(stage, tmp_path, finish):
    path = finish(stage(tmp_path, epochs=5, keep_best=1))
    epochs = json.loads((path.parent / "curves.json").read_text())["epochs"]
    left = {int(file.stem.split("_ep")[1]) for file in tmp_path.glob("*_ep*.pt")}
    assert len(epochs) == 6
    assert 5 in left
    assert len(left) == 2


@pytest.mark.slow
def test_sigterm_ends_the_command_with_75_and_the_same_command_goes_on(
    features, converters, fusion_settings, finish, tmp_path
):
    undisturbed = fusion_settings(features, converters, tmp_path / "whole", epochs=120)
    whole = finish(train_fusion.run(undisturbed))
    command = [sys.executable, "-m", "polyspace.train.train_fusion"]
    command += f"--dataset toy --root {features} --student stu --teachers flow look".split()
    command += f"--converters {converters} --classes 3 --use_cached_features".split()
    command += f"--epochs 120 --rank 4 --device cpu --save_dir {tmp_path / 'run'}".split()
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    run = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    patience = time.monotonic() + 120
    while not (tmp_path / "run" / "fusion_ep2.pt").is_file() and time.monotonic() < patience:
        time.sleep(0.005)
    run.send_signal(signal.SIGTERM)
    said, errors = run.communicate()
    assert run.returncode == 75, said + errors
    assert "(SIGTERM): the same command goes on from there" in errors
    again = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr
    assert "going on after step" in again.stdout
    assert_same(results(tmp_path / "run" / "fusion.pt"), results(whole))

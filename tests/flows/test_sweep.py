"""Sweeps as flows: in this process, and spread over the workers of a pool."""

import json
import os
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import StateType
from prefect.states import Completed, Crashed, Running

from flows import deploy
from flows.deploy import DeployConfig
from flows.sweep import SweepCommand, main, sweep
from polyspace import console
from polyspace.errors import ConfigError, SweepError
from polyspace.report.sweeps import Sweep
from polyspace.train.sweep import SweepConfig
from tasks import sharing, sweeps
from tests.support.pool import worker
from tests.support.sweeps import UNTRACKED, four_points, make_inputs, typed

pytestmark = [
    pytest.mark.flow,
    pytest.mark.xdist_group("prefect"),
    pytest.mark.usefixtures("prefect_server", "client"),
]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A store and converters; not to be written to."""
    return make_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture
def deployed(prefect_server, capsys):
    """What workers may run; gives the line that says how to start one."""
    deploy.main(DeployConfig(watch=False))
    return capsys.readouterr().out


@pytest.fixture
def config(inputs, tmp_path):
    return four_points(inputs, tmp_path / "sweep")


@pytest.fixture(autouse=True)
def _quick_looks(monkeypatch):
    monkeypatch.setattr(sharing, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(sweeps, "LOOK_SECONDS", 0.2)


def record(config):
    return Sweep.model_validate_json((config.out / "sweep.json").read_text())


def points(config):
    return sorted(tuple(trial.settings.values()) for trial in record(config).trials)


ALL = [(rank, dropout) for rank in "24" for dropout in ("0.1", "0.5")]


def test_the_flow_returns_the_table_and_shows_it_with_the_run(config):
    assert sweep(config, track=False) == config.out / "sweep.md"
    assert points(config) == ALL
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["sweep"]))
        )
    rows = json.loads(str(found[-1].data))
    assert [row["trial"] for row in rows] == [str(t.number) for t in record(config).trials]
    assert "Best is trial" in str(found[-1].description)


def test_the_command_goes_on_with_a_sweep_and_prints_it_again(config, capsys):
    options = console.parse(SweepCommand, typed(config, "--no-track"))
    main(options)
    first = record(config)
    said = capsys.readouterr().out
    assert said.count("trial 3: top-1") == 1
    main(options)
    assert record(config).trials == first.trials
    said = capsys.readouterr().out
    assert "trial 3: top-1" not in said
    assert f"best     {config.out}/trials/" in said
    assert f"next     python -m polyspace.train.evaluate --fusion {config.out}/trials/" in said


def test_a_wrong_setting_is_refused_before_anything_runs(config):
    wrong = config.model_copy(update={"search": ("ranc=2,4",)})
    with pytest.raises(ConfigError, match="unknown setting 'ranc': did you mean 'rank'"):
        main(console.parse(SweepCommand, typed(wrong)))
    assert not config.out.exists()


def parts_of(config):
    """The flow runs of a sweep's parts, in their order."""
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs()
    mine = [
        run
        for run in found
        if run.name.startswith("part") and run.parameters["config"]["out"] == str(config.out)
    ]
    return sorted(mine, key=lambda run: run.name)


def states_of(config):
    return [run.state and run.state.type for run in parts_of(config)]


def work(config, ends):
    """Do what workers do with parts: take them, run them, and say how they ended."""
    while len(parts_of(config)) < len(ends):
        time.sleep(0.05)
    with get_client(sync_client=True) as client:
        for run, end in zip(parts_of(config), ends, strict=True):
            client.set_flow_run_state(run.id, Running())
            if end.is_completed():
                sweeps.drain(SweepConfig.model_validate(run.parameters["config"]), UNTRACKED)
            client.set_flow_run_state(run.id, end)


@contextmanager
def working(config, *ends):
    thread = threading.Thread(target=work, args=(config, ends), daemon=True)
    thread.start()
    yield
    thread.join(timeout=60)
    assert not thread.is_alive()


def test_parts_that_nobody_takes_are_an_error_that_says_what_to_start(config, deployed):
    with pytest.raises(SweepError, match="4 trials are pending, and no worker") as caught:
        sweep(config, distribute=2, patience_seconds=0.5, track=False)
    assert deployed.strip() in str(caught.value)
    assert states_of(config) == [StateType.CANCELLED] * 2
    first, _ = parts_of(config)
    assert first.name == "part 1 of 2, sweep of fusion"


def test_a_crashed_part_is_named_and_its_share_is_done_by_the_others(config, deployed, capsys):
    with working(config, Crashed(message="out of memory"), Completed()):
        sweep(config, distribute=2, track=False)
    assert "part 1 of 2 ended as Crashed: out of memory" in capsys.readouterr().out
    assert points(config) == ALL


@pytest.mark.slow
def test_workers_share_a_sweep_though_one_part_is_killed(config, deployed, client, capsys):
    stage = config.stage.model_copy(update={"epochs": 30, "save_every_steps": 1})
    config = config.model_copy(update={"stage": stage})
    with worker() as process:
        killer = threading.Thread(target=kill_a_part, args=(process, config), daemon=True)
        killer.start()
        sweep(config, distribute=2)
        killer.join(timeout=1)

    assert set(states_of(config)) == {StateType.COMPLETED, StateType.CRASHED}
    assert points(config) == ALL
    assert [trial.state for trial in record(config).trials] == ["complete"] * 4
    assert not list((config.out / "leases").iterdir())
    experiment = client.get_experiment_by_name("polyspace/toy")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run.info.run_id for run in runs if run.info.run_name.startswith("sweep")]
    nested = {run.data.tags.get("mlflow.parentRunId") for run in runs} - {None}
    assert nested == {parent}


def kill_a_part(process, config):
    """Kill the process that has begun to train, in the middle of a trial."""
    while not (found := list(config.out.glob("leases/trial-*"))):
        time.sleep(0.01)
    while not list(config.out.glob("trials/*/*/unfinished/run_*.pt")):
        time.sleep(0.01)
    holder = json.loads(found[0].read_text())["process"]
    assert holder != process.pid
    os.kill(holder, signal.SIGKILL)

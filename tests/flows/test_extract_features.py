"""Extraction that is spread over the workers of a pool."""

import os
import shutil
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.states import Completed, Crashed, Running

from flows import deploy
from flows.deploy import DeployConfig
from flows.extract_features import extract_features
from polyspace.data import featurize
from polyspace.data.featurize import FeaturizeConfig
from polyspace.errors import StoreError
from polyspace.store.difference import compare
from polyspace.store.reader import FeatureStore
from tasks import parts, sharing
from tests.support.pool import worker
from tests.support.ucf101 import make_ucf101

pytestmark = [
    pytest.mark.flow,
    pytest.mark.xdist_group("prefect"),
    pytest.mark.usefixtures("prefect_server", "client", "deployed"),
]
ROOT = Path(__file__).parents[2]
CLIPS = 16


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """12 clips to train on, 4 to test on; not to be written to."""
    return make_ucf101(tmp_path_factory.mktemp("clips"))


@pytest.fixture
def deployed(prefect_server, capsys):
    """What workers may run; gives the line that says how to start one."""
    deploy.main(DeployConfig(watch=False))
    return capsys.readouterr().out


@pytest.fixture
def config(clips, tmp_path):
    return config_of(clips, tmp_path / "shared")


@pytest.fixture(scope="module")
def alone(clips, tmp_path_factory):
    """The stores that one process makes; not to be written to."""
    config = config_of(clips, tmp_path_factory.mktemp("alone"))
    for _ in featurize.run(config):
        pass
    return config.out


@pytest.fixture(autouse=True)
def _quick_looks(monkeypatch):
    monkeypatch.setattr(sharing, "LOOK_SECONDS", 0.2)


def config_of(clips, out):
    return FeaturizeConfig(
        dataset="ucf101",
        root=clips,
        out=out,
        student="transnetv2",
        teachers=("motion_vectors",),
        frames=4,
        workers=0,
    )


def runs_of(config):
    """The flow runs of an extraction's parts, in their order."""
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs()
    named = [run for run in found if run.name.startswith("part")]
    out = str(config.out)
    return sorted((r for r in named if r.parameters["config"]["out"] == out), key=lambda r: r.name)


def states_of(config):
    return [run.state and run.state.type for run in runs_of(config)]


def assert_same(out, alone):
    for name in ("ucf101_train.zarr", "ucf101_test.zarr"):
        assert compare(out / name, alone / name).lines == ()
        fingerprints = {FeatureStore.open(folder / name).fingerprint for folder in (out, alone)}
        assert len(fingerprints) == 1


def work(config, ends):
    """Do what workers do with parts: take them, run them, and say how they ended."""
    while len(runs := runs_of(config)) < len(ends):
        time.sleep(0.05)
    with get_client(sync_client=True) as client:
        for run, end in zip(runs[: len(ends)], ends, strict=True):
            client.set_flow_run_state(run.id, Running())
            if end.is_completed():
                for _ in featurize.run(FeaturizeConfig.model_validate(run.parameters["config"])):
                    pass
            client.set_flow_run_state(run.id, end)


@contextmanager
def working(config, *ends):
    thread = threading.Thread(target=work, args=(config, ends), daemon=True)
    thread.start()
    yield
    thread.join(timeout=60)
    assert not thread.is_alive()


def test_parts_that_nobody_takes_are_an_error_that_says_what_to_start(config, deployed):
    with pytest.raises(StoreError, match=f"{CLIPS} clips are pending, and no worker") as caught:
        extract_features(config, distribute=2, patience_seconds=0.5)

    assert deployed.strip() in str(caught.value)
    assert "python -m flows.work" in str(caught.value)
    assert states_of(config) == [StateType.CANCELLED] * 2
    first, second = runs_of(config)
    assert (first.name, second.name) == ("part 1 of 2, ucf101", "part 2 of 2, ucf101")
    # Besides the deployment's own.
    assert {"part 1 of 2", "part"} <= set(first.tags)
    assert {"part 2 of 2", "part"} <= set(second.tags)
    assert first.parent_task_run_id


def test_a_crashed_part_is_named_and_its_share_is_done_by_the_others(config, alone, capsys):
    with working(config, Crashed(message="out of memory"), Completed()):
        assert extract_features(config, distribute=2) == config.out

    assert "part 1 of 2 ended as Crashed: out of memory" in capsys.readouterr().out
    assert_same(config.out, alone)


def test_all_parts_crashed_leave_pending_clips_which_the_next_flow_does(config, alone):
    with working(config, Crashed()), pytest.raises(StoreError, match="all parts have ended"):
        extract_features(config, distribute=1)

    assert extract_features(config) == config.out
    assert_same(config.out, alone)


def test_a_part_that_is_not_needed_is_taken_back(config, alone, capsys):
    with working(config, Completed()):
        assert extract_features(config, distribute=2, patience_seconds=1) == config.out

    assert states_of(config) == [StateType.COMPLETED, StateType.CANCELLED]
    assert "part 2 of 2 is cancelled, it was Scheduled" in capsys.readouterr().out
    assert_same(config.out, alone)


def test_the_part_of_a_worker_that_is_lost_ends_with_the_job(config, alone, monkeypatch):
    monkeypatch.setattr(parts, "GONE_WITHIN_SECONDS", 0.5)
    with working(config, Running(), Completed()):
        assert extract_features(config, distribute=2, patience_seconds=1) == config.out

    assert states_of(config) == [StateType.CANCELLED, StateType.COMPLETED]
    first = runs_of(config)[0].state
    assert first
    assert first.message == "its worker is gone"
    assert_same(config.out, alone)


def test_complete_stores_need_no_worker(config, alone):
    shutil.copytree(alone, config.out)

    assert extract_features(config, distribute=3, patience_seconds=0.5) == config.out
    assert runs_of(config) == []


def test_stores_are_cut_finely_enough_for_everybody(config):
    with pytest.raises(StoreError):
        extract_features(config, distribute=3, patience_seconds=0.1)

    store = FeatureStore.open(config.out / "ucf101_train.zarr")
    assert store.clips_per_chunk == config.batch


@pytest.mark.slow
def test_workers_share_an_extraction_though_one_part_is_killed(config, alone, capsys):
    config = config.model_copy(update={"workers": 1})
    with worker() as process:
        killer = threading.Thread(target=kill_first_part, args=(process, config), daemon=True)
        killer.start()
        assert extract_features(config, distribute=2) == config.out
        killer.join(timeout=1)

    assert set(states_of(config)) == {StateType.COMPLETED, StateType.CRASHED}
    assert "ended as Crashed" in capsys.readouterr().out
    assert_same(config.out, alone)


def kill_first_part(worker, config):
    """Kill the first process that runs a part of this extraction, as soon as there is one.

    Earlier tests may have left parts of theirs, which the worker takes first.
    """
    while True:
        own = {str(run.id).encode() for run in runs_of(config)}
        for process in children(worker.pid):
            if any(name in read(f"/proc/{process}/environ") for name in own):
                os.kill(process, signal.SIGKILL)
                return
        time.sleep(0.05)


def children(parent):
    tasks = Path(f"/proc/{parent}/task").glob("*/children")
    found = [int(child) for task in tasks for child in read(task).split()]
    # Not those that Python or Prefect starts for a moment, to ask the system something.
    return [pid for pid in found if b"flows.attempt" in read(f"/proc/{pid}/cmdline")]


def read(path):
    """Read of a thread or process that may have ended since."""
    try:
        return Path(path).read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""

"""What a real server does by itself about runs that nobody works on, and what a cancel leaves."""

import os
import time

import pytest
from prefect.client.schemas.objects import StateType
from prefect.states import Cancelling, Crashed, Running

from flows import deploy, watching
from polyspace.train.train_converter import ConverterConfig
from tests.support.services import worker
from tests.support.stores import make_store

pytestmark = [pytest.mark.flow, pytest.mark.slow, pytest.mark.xdist_group("prefect pages")]
PATIENCE_SECONDS = 140


@pytest.fixture(autouse=True)
def _watched(api):
    """The server looks after runs in these tests alone: its database is SQLite."""
    for automation in watching.automations():
        deploy.keep(api, automation)
    yield
    for automation in watching.automations():
        for found in api.read_automations_by_name(automation.name):
            api.delete_automation(found.id)


def wait_for(api, run, happens):
    """Wait until something can be said of a run; give the run."""
    patience = time.monotonic() + PATIENCE_SECONDS
    while not happens(found := api.read_flow_run(run.id)):
        assert time.monotonic() < patience, found.state
        time.sleep(0.2)
    return found


@pytest.fixture
def running(api):
    """A run that a worker would have begun; cancelled, so that no other test's worker takes it."""
    deployment = api.read_deployment_by_name("compare/local-cpu")
    run = api.create_flow_run_from_deployment(deployment.id)
    api.set_flow_run_state(run.id, Running(), force=True)
    yield run
    api.set_flow_run_state(run.id, Cancelling(), force=True)


def test_a_lost_run_is_scheduled_again(api, running):
    api.set_flow_run_state(running.id, Crashed(message=f"{watching.LOST} 100 s."))
    found = wait_for(api, running, lambda run: not run.state.is_final())
    assert (found.state.type, found.state.name) == (StateType.SCHEDULED, "AwaitingRetry")


def test_one_that_crashed_by_itself_stays_so(api, running):
    api.set_flow_run_state(running.id, Crashed(message="exited with status code -9"))
    time.sleep(3)
    assert api.read_flow_run(running.id).state.type == StateType.CRASHED


def test_deploying_again_keeps_what_is_waited_for_and_what_is_switched_off(api, pages):
    wanted = watching.automations()[0]

    def found():
        (automation,) = api.read_automations_by_name(wanted.name)
        return automation

    before = found()
    deploy.keep(api, wanted)
    assert found() == before
    api.pause_automation(before.id)
    deploy.keep(api, wanted.model_copy(update={"description": "Other words."}))
    assert (found().description, found().enabled) == ("Other words.", False)
    deploy.keep(api, wanted)
    api.resume_automation(before.id)
    assert found().enabled


def test_a_cancelled_run_is_gone_and_goes_on_from_where_it_was(api, tmp_path):
    teachers = {"motion_vectors": (4, 4, 3)}
    make_store(tmp_path / "features", "train", student=("transnetv2", 4, 4, 6), teachers=teachers)
    config = ConverterConfig(
        features=tmp_path / "features",
        dataset="toy",
        student="transnetv2",
        teachers=("motion_vectors",),
        epochs=100_000,
        save_every_steps=100,
        keep_best=1,
        save_dir=tmp_path / "converters",
    )
    deployment = api.read_deployment_by_name("train_converter/local-cpu")
    values = {"config": config.model_dump(mode="json")}
    run = api.create_flow_run_from_deployment(deployment.id, parameters=values)
    with worker(tmp_path / "log"):
        states = _saved(api, run, config)
        process = int(str(api.read_flow_run(run.id).infrastructure_pid))
        api.set_flow_run_state(run.id, Cancelling())
        assert wait_for(api, run, lambda run: run.state.is_final()).state.name == "Cancelled"
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
        kept = max(config.save_dir.glob("unfinished/run_*.pt"))
        assert kept >= states

        # Another run: the worker has yet to say with which status the first one's process ended.
        run = api.create_flow_run_from_deployment(deployment.id, parameters=values)
        assert _saved(api, run, config, after=kept) > kept
        api.set_flow_run_state(run.id, Cancelling())
        wait_for(api, run, lambda run: run.state.is_final())


def _saved(api, run, config, after=None):
    """Wait until a run that is at work has saved its state; give the file."""

    def has_saved(run):
        assert not run.state.is_final(), run.state
        found = max(config.save_dir.glob("unfinished/run_*.pt"), default=None)
        return run.state.is_running() and found and (after is None or found > after)

    wait_for(api, run, has_saved)
    return max(config.save_dir.glob("unfinished/run_*.pt"))

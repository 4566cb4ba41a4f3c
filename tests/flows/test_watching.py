"""Lost runs: who is taken for lost, when, and what is done about it, by Prefect's own rules."""

import random
from uuid import uuid4

import pytest
import yaml
from prefect.settings import get_current_settings

from flows import projects, watching, work
from flows.deploy import FILE
from flows.server import reprieve
from flows.services.compose import COMPOSE
from flows.watching import (
    HEARTBEAT_SECONDS,
    LOST,
    NOTICED_SECONDS,
    SETTING,
    STARTING_SECONDS,
    TIMES,
    WITHIN_SECONDS,
)
from flows.work import WorkConfig
from tests.support.clockwork import GRANULARITY_SECONDS, tell

UNITS = sorted((FILE.parent / "systemd").glob("*.service"))
SILENT, NEVER_BEGUN, TAKEN_UP, CANCELLED = (wanted.name for wanted in watching.automations())


@pytest.fixture
def told(tmp_path, monkeypatch):
    """Tells a story; gives what the automations did."""
    return lambda story: tell(story, watching.automations(), tmp_path, monkeypatch).done


def test_a_silent_run_is_crashed_in_time_and_a_beating_one_never(told):
    lost, healthy = uuid4(), uuid4()
    last = 7 * HEARTBEAT_SECONDS

    async def story(server):
        for run in (lost, healthy):
            await server.hear(run, "Pending")
            await server.hear(run, "Running")
        for _ in range(14):
            if server.seconds <= last:
                await server.hear(lost, "heartbeat")
            await server.hear(healthy, "heartbeat")
            await server.wait(HEARTBEAT_SECONDS)

    ((name, run, seconds),) = told(story)
    assert (name, run) == (SILENT, lost)
    assert last + 3 * HEARTBEAT_SECONDS <= seconds < last + NOTICED_SECONDS


def test_in_an_hour_of_late_beats_and_a_server_away_nobody_is_taken_for_lost(
    told,
):
    runs, draw = [uuid4() for _ in range(3)], random.Random(8)
    begun = 0.0

    async def story(server):
        nonlocal begun
        for run in runs:
            await server.hear(run, "Pending")
            await server.wait(draw.uniform(0, 20))
            await server.hear(run, "Running")
        while server.seconds < 3600:
            for run in runs:
                await server.hear(run, "heartbeat")
                await server.wait(draw.uniform(0, 2 * HEARTBEAT_SECONDS / len(runs)))
            if not begun and server.seconds > 1800:
                begun = server.seconds
                await server.be_down(300, reprieve)

    assert told(story) == []
    assert begun


def test_a_run_that_has_ended_is_not_waited_for(told):
    ends = ("Completed", "Failed", "Cancelled", "Crashed", "TimedOut", "Suspended")

    async def story(server):
        runs = [uuid4() for _ in ends]
        for run in runs:
            await server.hear(run, "Running")
            await server.hear(run, "heartbeat")
        await server.wait(12)
        for run, end in zip(runs, ends, strict=True):
            await server.hear(run, end)
        await server.wait(300)

    assert told(story) == []


def test_a_run_whose_machine_is_lost_before_it_begins_is_crashed_too(told):
    lost, slow = uuid4(), uuid4()

    async def story(server):
        for run in (lost, slow):
            await server.hear(run, "Pending")
            await server.hear(run, "Submitting")
        await server.wait(WITHIN_SECONDS - 1)
        await server.hear(slow, "Running")
        for _ in range(10):
            await server.hear(slow, "heartbeat")
            await server.wait(HEARTBEAT_SECONDS)

    ((name, run, seconds),) = told(story)
    assert (name, run) == (NEVER_BEGUN, lost)
    assert seconds < NOTICED_SECONDS


def test_what_is_lost_is_taken_up_so_many_times_and_what_fails_by_itself_never(told):
    lost, failed = uuid4(), uuid4()

    async def story(server):
        for count in range(1, TIMES + 3):
            words = {"run_count": str(count), "state_name": "Crashed"}
            await server.hear(lost, "Crashed", state_message=f"{LOST} 100 s.", **words)
            await server.hear(failed, "Crashed", state_message="exited with code -9", **words)
            await server.wait(20)

    assert [(name, run) for name, run, _ in told(story)] == [(TAKEN_UP, lost)] * TIMES


def test_a_cancelled_run_whose_worker_is_gone_ends(told):
    alone, looked_after = uuid4(), uuid4()

    async def story(server):
        for run in (alone, looked_after):
            await server.hear(run, "Cancelling")
        await server.wait(20)
        await server.hear(looked_after, "Cancelled")
        await server.wait(300)

    ((name, run, seconds),) = told(story)
    assert (name, run) == (CANCELLED, alone)
    assert seconds < NOTICED_SECONDS


@pytest.mark.parametrize("given", [True, False])
def test_after_the_server_was_down_everybody_has_time_to_be_heard_of(told, given):
    """Without that time they are all lost at once: this is what `flows.server` is for."""
    healthy, lost = uuid4(), uuid4()

    async def story(server):
        for run in (healthy, lost):
            await server.hear(run, "heartbeat")
        await server.be_down(600, reprieve if given else None)
        await server.wait(STARTING_SECONDS if given else HEARTBEAT_SECONDS)
        for _ in range(10):
            await server.hear(healthy, "heartbeat")
            await server.wait(HEARTBEAT_SECONDS)

    crashed = {run for _, run, _ in told(story)}
    assert crashed == ({lost} if given else {lost, healthy})


def test_three_beats_fit_in_and_the_server_looks_often_enough():
    looks = get_current_settings().server.events.proactive_granularity.total_seconds()
    assert looks == GRANULARITY_SECONDS
    assert 3 * HEARTBEAT_SECONDS <= WITHIN_SECONDS
    assert WITHIN_SECONDS + 4 * looks < NOTICED_SECONDS


def test_every_way_to_start_a_run_beats_as_often_as_the_server_expects(monkeypatch):
    beat = str(HEARTBEAT_SECONDS)
    monkeypatch.setenv(SETTING, "600")
    assert work.environment(WorkConfig())[SETTING] == beat
    workers = [
        service["environment"][SETTING]
        for service in yaml.safe_load(COMPOSE.read_text())["services"].values()
        if SETTING in service.get("environment", {})
    ]
    assert workers
    assert set(workers) == {beat}
    for unit in UNITS:
        assert "-m flows.work" in unit.read_text()
        assert SETTING not in unit.read_text()


@pytest.mark.parametrize("path", sorted(FILE.parent.glob("*.yaml")), ids=lambda path: path.name)
def test_every_deployment_is_watched_and_ends_when_it_is_anothers(path):
    for entry in projects.read(path).deployments:
        variables = entry.work_pool.job_variables
        assert "polyspace" in entry.tags
        assert variables["command"] == "python -m flows.attempt"
        assert variables.get("env", {}).get(SETTING, str(HEARTBEAT_SECONDS)) == str(
            HEARTBEAT_SECONDS
        )
        if entry.name.startswith(("docker", "kubernetes")):
            assert variables["env"][SETTING] == str(HEARTBEAT_SECONDS)

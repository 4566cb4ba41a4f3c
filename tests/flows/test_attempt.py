"""Attempts at a run: whose the run is, and how a process ends whose run is another's."""

import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from uuid import uuid4

import httpx
import pytest
from prefect.client.schemas.objects import FlowRun, State, StateType

from flows import attempt
from flows.attempt import is_lost

MINE = FlowRun(id=uuid4(), flow_id=uuid4(), name="r", run_count=2)


def known(state, count=2):
    return MINE.model_copy(update={"run_count": count, "state": State(type=state)})


@pytest.mark.parametrize(
    ("now", "lost"),
    [
        (known(StateType.RUNNING), False),
        (known(StateType.CANCELLING), False),  # its worker ends it
        (known(StateType.PAUSED), False),
        (known(StateType.RUNNING, 3), True),  # somebody else's now
        (known(StateType.CRASHED), True),
        (known(StateType.SCHEDULED), True),
        (known(StateType.PENDING), True),
        (known(StateType.CANCELLED), True),
        (known(StateType.COMPLETED), True),
    ],
    ids=lambda value: value if isinstance(value, bool) else f"{value.state.name} {value.run_count}",
)
def test_a_run_is_lost_once_somebody_else_has_it_or_ended_it(now, lost):
    assert is_lost(MINE, now) == lost


class Api:
    """A server that knows of one run."""

    def __init__(self, answer):
        self.answer = answer

    def __call__(self, **_):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def read_flow_run(self, _):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def ended(monkeypatch):
    """The statuses with which this process would have ended."""
    statuses = []
    monkeypatch.setattr(attempt.os, "_exit", statuses.append)
    return statuses


@pytest.mark.parametrize("raised", [None, RuntimeError("fenced"), KeyboardInterrupt()])
def test_however_it_ends_a_process_says_nothing_of_a_run_that_is_anothers(
    monkeypatch, ended, raised
):
    monkeypatch.setattr(attempt, "get_client", Api(known(StateType.RUNNING, 3)))

    def work():
        if raised:
            raise raised
        return "done"

    with pytest.raises(type(raised)) if raised else nullcontext(), attempt.watched(MINE):
        work()
    assert ended == [0]


def test_a_server_that_is_away_ends_nothing(monkeypatch, ended):
    monkeypatch.setattr(attempt, "get_client", Api(httpx.ConnectError("refused")))
    with attempt.watched(MINE):
        pass
    assert ended == []


def test_a_process_that_wakes_up_ends_in_the_middle_of_its_work(monkeypatch):
    """In a process of its own: it is gone at once, decoders and all, with a status of nothing."""
    code = """
import time
from flows import attempt
from tests.flows.test_attempt import MINE, Api, known
from prefect.client.schemas.objects import StateType
attempt.get_client = Api(known(StateType.SCHEDULED))
attempt.HEARTBEAT_SECONDS = 0.1
with attempt.watched(MINE):
    time.sleep(60)
"""
    done = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, timeout=50)
    assert done.returncode == 0
    assert "run r is no longer this process's, it is Scheduled" in done.stdout


def test_a_process_that_was_stopped_asks_before_it_does_anything(tmp_path):
    code = f"""
import time
from pathlib import Path
from flows import attempt
from tests.flows.test_attempt import MINE, Api, known
from prefect.client.schemas.objects import StateType
attempt.get_client = Api(known(StateType.RUNNING, 3))
written = Path({str(tmp_path)!r}, "written")
with attempt.watched(MINE):
    written.write_text("0")
    print("at work", flush=True)
    while True:
        written.write_text(str(time.time()))
"""
    process = subprocess.Popen((sys.executable, "-c", code), stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "at work\n"
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)
    written = (tmp_path / "written").read_text()
    process.send_signal(signal.SIGCONT)
    assert process.wait(50) == 0
    assert (tmp_path / "written").read_text() in (written, "")
    process.stdout.close()

"""Progress that Prefect is told: rarely, by a thread, and at no cost to the stage."""

import logging
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import httpx
import pytest

from polyspace.progress import Progress
from tasks import artefacts, progress


class Server:
    """Stands for Prefect's client, and remembers what it was told."""

    def __init__(self):
        self.told, self.trouble, self.threads = [], None, []

    def create_artifact(self, artifact):
        return self._note("create", artifact)

    def update_artifact(self, artifact_id, artifact):
        assert artifact_id == "the artefact"
        return self._note("update", artifact)

    def _note(self, what, artifact):
        self.threads.append(threading.current_thread().name)
        if self.trouble is not None:
            self.trouble()
        self.told.append((what, artifact.data, artifact.description))
        return SimpleNamespace(id="the artefact")


@pytest.fixture
def server(monkeypatch):
    """A flow run's server that is told every 20 milliseconds."""
    found = Server()

    @contextmanager
    def client(settings, *, sync_client):
        yield found

    monkeypatch.setattr(progress, "get_client", client)
    monkeypatch.setattr(artefacts, "is_shown", lambda: True)
    monkeypatch.setattr(progress, "INTERVAL_SECONDS", 0.02)
    return found


def stage(steps=10, pause=0.02, fails=False):
    for step in range(1, steps + 1):
        time.sleep(pause)
        yield Progress(step, steps, f"clip {step}")
    if fails:
        raise ValueError("too hot")
    return "result"


def drain(work):
    seen = []
    while True:
        try:
            seen.append(next(work))
        except StopIteration as end:
            return seen, end.value


def test_one_artefact_is_made_and_kept_up_to_date_to_the_end(server):
    seen, result = drain(progress.told(stage(), "extract"))
    assert (len(seen), result) == (10, "result")
    kinds = [kind for kind, _, _ in server.told]
    assert kinds == ["create"] + ["update"] * (len(kinds) - 1)
    shares = [share for _, share, _ in server.told]
    assert shares == sorted(shares)
    assert server.told[-1][1:] == (100.0, "**extract**: 10 of 10, clip 10")
    assert "train" not in server.threads
    assert set(server.threads) == {"progress"}


def test_steps_cost_no_calls(server, monkeypatch):
    monkeypatch.setattr(progress, "INTERVAL_SECONDS", 0.2)
    drain(progress.told(stage(steps=5000, pause=0.0001), "train"))
    assert len(server.told) < 50


def test_a_stage_that_fails_stays_where_it_was(server):
    with pytest.raises(ValueError, match="too hot"):
        drain(progress.told(stage(fails=True, steps=4, pause=0.05), "train"))
    assert server.told
    last = server.told[-1]
    assert last[1] == pytest.approx(100.0)  # it had said that it was at 4 of 4
    assert "4 of 4" in last[2]


def test_a_server_that_refuses_costs_one_warning(server, caplog):
    def refuse():
        raise httpx.ConnectError("connection refused")

    server.trouble = refuse
    with caplog.at_level(logging.WARNING):
        _, result = drain(progress.told(stage(), "train"))
    assert result == "result"
    assert [record.getMessage() for record in caplog.records] == [
        "Prefect isn't told how far train is: connection refused"
    ]


def test_a_server_that_hangs_holds_up_no_step(server, monkeypatch):
    monkeypatch.setattr(progress, "FAREWELL_SECONDS", 0.1)
    hang = threading.Event()
    server.trouble = hang.wait
    work, gaps = progress.told(stage(steps=20, pause=0.0), "train"), []
    for _ in range(20):
        began = time.monotonic()
        next(work)
        gaps.append(time.monotonic() - began)
        time.sleep(0.005)
    with pytest.raises(StopIteration):
        next(work)
    assert server.threads == ["progress"]  # it was asked, and never answered
    hang.set()


def test_a_server_that_comes_back_is_told_again(server):
    tries = []

    def refuse_first():
        tries.append(True)
        if len(tries) < 3:
            raise httpx.ConnectError("connection refused")

    server.trouble = refuse_first
    drain(progress.told(stage(), "train"))
    assert server.told[-1][1] == 100.0


def test_a_stage_that_is_over_at_once_leaves_nothing(server, monkeypatch):
    monkeypatch.setattr(progress, "INTERVAL_SECONDS", 30)
    assert drain(progress.told(stage(pause=0), "train"))[1] == "result"
    assert server.told == []


def test_without_a_flow_run_nobody_is_told_and_no_thread_begins(monkeypatch):
    monkeypatch.setattr(progress, "Teller", None)
    assert drain(progress.told(stage(pause=0), "train"))[1] == "result"

"""Outages of a real MLflow server behind a proxy: nothing is lost, nothing is there twice."""

import collections
import itertools
import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from polyspace.config import Config
from tasks import tracking
from tasks.tracking import ALONE, sync

EPOCHS = 12
names = (f"data{number}" for number in itertools.count())


class Settings(Config):
    """How something is trained."""

    epochs: int = EPOCHS


@pytest.fixture
def dataset():
    """A name that no other test gives its experiment."""
    return next(names)


def train(dataset, at=lambda epoch: None):
    """Tell of a training; give the record and the longest that it was held up, in seconds."""
    longest = 0.0
    with tracking.run("train", Settings(), dataset, ALONE) as record:
        for epoch in range(1, EPOCHS + 1):
            at(epoch)
            began = time.perf_counter()
            record.metrics({"loss": 1 / epoch, "top1": epoch / EPOCHS}, step=epoch)
            longest = max(longest, time.perf_counter() - began)
            time.sleep(0.05)
        record.tags({"note": "done"})
    return record, longest


def wait_for(condition):
    """Wait until something holds."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def warnings_in(caplog):
    """The lines that tell a user that MLflow has failed."""
    return [line for line in caplog.records if "the run goes on without it" in line.msg]


def check_whole(server, dataset, status="FINISHED"):
    """Check that the experiment has one run, with each point once."""
    experiment = server.get_experiment_by_name(f"polyspace/{dataset}")
    (run,) = server.search_runs([experiment.experiment_id])
    assert run.info.status == status
    for key, value in (("loss", lambda e: 1 / e), ("top1", lambda e: e / EPOCHS)):
        points = [(p.step, p.value) for p in server.get_metric_history(run.info.run_id, key)]
        assert points == [(epoch, value(epoch)) for epoch in range(1, EPOCHS + 1)]
    assert run.data.params == {"epochs": str(EPOCHS)}
    return run


def test_down_before_the_run_and_back_during_it(proxy, server, dataset):
    proxy.become("refuse")
    record, _ = train(dataset, lambda epoch: proxy.become("pass") if epoch == 4 else None)
    assert record.flush()
    assert check_whole(server, dataset).data.tags["note"] == "done"


def test_down_during_the_run(proxy, server, dataset):
    modes = {3: "refuse", 8: "pass"}
    record, _ = train(dataset, lambda e: proxy.become(modes[e]) if e in modes else None)
    assert record.flush()
    check_whole(server, dataset)


@pytest.mark.parametrize("mode", ["refuse", "hang"])
def test_down_until_after_the_run_and_sent_by_sync(proxy, server, dataset, mode, caplog):
    with caplog.at_level(logging.WARNING):
        train(dataset, lambda epoch: proxy.become(mode) if epoch == 5 else None)
        wait_for(lambda: warnings_in(caplog))  # a request that hangs fails a second later
    assert len(warnings_in(caplog)) == 1
    (left,) = sync.left()
    assert left.has_ended
    proxy.become("pass")
    assert sync.sync() == []
    assert sync.left() == []
    check_whole(server, dataset)


def test_never_there(proxy, server, dataset):
    proxy.become("refuse")
    record, longest = train(dataset)
    assert longest < 1
    assert record.mlflow_id is None
    proxy.become("pass")
    sync.sync()
    check_whole(server, dataset)


def test_a_hang_in_the_middle_holds_nobody_up(proxy, server, dataset):
    modes = {3: "hang", 9: "pass"}
    record, longest = train(dataset, lambda e: proxy.become(modes[e]) if e in modes else None)
    assert longest < 0.9  # the request hangs for a second
    assert record.flush()
    check_whole(server, dataset)


def test_an_answer_that_is_lost_makes_no_second_run_and_no_second_point(
    proxy, server, dataset, monkeypatch
):
    lost = collections.Counter()
    client = type(server)

    def forget(name):
        whole = getattr(client, name)

        def done_but_not_heard_of(self, *given, **named):
            answer = whole(self, *given, **named)
            lost[name] += 1
            if lost[name] == 1:
                raise ConnectionError("the answer was lost")
            return answer

        monkeypatch.setattr(client, name, done_but_not_heard_of)

    for name in ("create_run", "log_batch", "set_terminated"):
        forget(name)
    record, _ = train(dataset)
    assert any(record.flush() for _ in range(4))
    monkeypatch.undo()
    assert set(lost) == {"create_run", "log_batch", "set_terminated"}
    assert lost["create_run"] == 1
    check_whole(server, dataset)


CHILD = """
    import os, sys, time
    from tests.tasks.tracking.test_outages import Settings
    from tasks.tracking import ALONE, run
    with run("train", Settings(), sys.argv[1], ALONE, earlier=sys.argv[2]) as record:
        for epoch in range(int(sys.argv[3]), int(sys.argv[4]) + 1):
            record.metrics({"loss": 1 / epoch, "top1": epoch / 12}, step=epoch)
        if sys.argv[5] == "killed":
            print("ready", flush=True)
            time.sleep(60)
"""


def child(dataset, run_id, first, last, how):
    """Train some epochs in a process of its own; give it when it has told them."""
    words = [dataset, run_id, str(first), str(last), how]
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), *words],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
        text=True,
    )
    assert process.stdout
    if how == "killed":
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGKILL)
    process.communicate(timeout=100)
    return process.returncode


@pytest.mark.slow
def test_a_run_that_is_killed_twice_goes_on_as_one(proxy, server, dataset):
    proxy.become("refuse")
    assert child(dataset, "e" * 32, 1, 7, "killed") == -signal.SIGKILL
    (left,) = sync.left()
    assert not left.has_ended
    proxy.become("pass")
    sync.sync()
    # It goes on from a checkpoint at the end of epoch 5, and says 6 and 7 again.
    assert child(dataset, "e" * 32, 6, EPOCHS, "whole") == 0
    check_whole(server, dataset)


@pytest.mark.slow
def test_two_processes_that_sync_at_once_send_everything_once(proxy, server):
    datasets = [next(names) for _ in range(3)]
    proxy.become("refuse")
    for dataset in datasets:
        train(dataset)
    proxy.become("pass")
    command = [sys.executable, "-m", "flows.track", "sync"]
    both = [
        subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(Path.cwd())}) for _ in "ab"
    ]
    assert all(process.wait(100) in (0, 2) for process in both)
    assert sync.sync() == []
    for dataset in datasets:
        check_whole(server, dataset)

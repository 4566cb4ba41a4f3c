"""What MLflow has in full is given up some day, and nothing else ever is."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.track import Sync, TrackConfig, main
from polyspace.config import Config
from polyspace.errors import ConfigError
from tasks import tracking
from tasks.tracking import ALONE, pruning, sender, state
from tasks.tracking import spool as spools
from tasks.tracking.lines import End, Metrics
from tasks.tracking.spool import Spool

DAY = 86_400
METRICS = Metrics(values={"loss": 1.0}, step=1, at_ms=1)
END = End(status="FINISHED", at_ms=2)


class Settings(Config):
    """How something is trained."""


@dataclass(frozen=True)
class Case:
    """A run as it may lie in a spool."""

    ended: bool
    sent: bool
    known: bool
    refused: bool
    torn: bool
    goes_on: bool
    days: int


def write(folder, name, case):
    """Write the run; say whether it may be given up after thirty days."""
    spool = Spool(folder, name)
    spool.append(METRICS)
    if case.ended:
        spool.append(END)
    if case.goes_on:
        spool.append(METRICS)
    spool.close()
    sent = spool.end() if case.sent else spool.end() - 10
    if case.torn:
        with spool.path.open("ab") as file:
            file.write(b'{"kind": "metrics", ')
    refused = ["param x"] if case.refused else []
    known = state.State(mlflow_id=f"m{name}" if case.known else None, sent=sent, refused=refused)
    state.write(spool, known)
    old = time.time() - case.days * DAY
    os.utime(spool.path, (old, old))
    return (
        case.ended
        and case.sent
        and case.known
        and case.days > 30
        and not (case.refused or case.torn or case.goes_on)
    )


CASES = st.builds(
    Case,
    ended=st.booleans(),
    sent=st.booleans(),
    known=st.booleans(),
    refused=st.booleans(),
    torn=st.booleans(),
    goes_on=st.booleans(),
    days=st.sampled_from([0, 29, 31, 400]),
)


@given(st.lists(CASES, max_size=6))
@settings(max_examples=60, deadline=None)
def test_nothing_goes_but_what_ended_long_ago_and_was_sent_in_full(tmp_path_factory, cases):
    folder = tmp_path_factory.mktemp("spool")
    may_go = {str(name) for name, case in enumerate(cases) if write(folder, str(name), case)}
    before = {path.name: path.read_bytes() for path in folder.glob("*.jsonl")}
    gone = pruning.prune(folder, 30)
    assert gone is not None
    assert set(gone) == may_go
    left = {path.name: path.read_bytes() for path in folder.glob("*.jsonl")}
    assert left == {name: text for name, text in before.items() if Path(name).stem not in may_go}
    assert {one.run_id for one in spools.found(folder)}.isdisjoint(gone)
    assert not any((folder / f"{name}.sent.json").exists() for name in gone)


HOLDER = """
import sys, time
from pathlib import Path
from tasks.tracking import pruning
pruning.enter(Path(sys.argv[1]))
print("ready", flush=True)
time.sleep(60)
"""


def test_while_another_process_writes_nothing_goes(tmp_path):
    case = Case(True, True, True, refused=False, torn=False, goes_on=False, days=400)
    assert write(tmp_path, "a", case)
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(Path.cwd()), pruning.SWITCH: "10000"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert other.stdout
        assert other.stdout.readline() == "ready\n"
        assert pruning.prune(tmp_path, 0) is None
        assert (tmp_path / "a.jsonl").exists()
    finally:
        other.kill()
        other.communicate()
    assert pruning.prune(tmp_path, 0) == ["a"]


def test_a_process_that_begins_prunes_first(tmp_path, monkeypatch):
    case = Case(True, True, True, refused=False, torn=False, goes_on=False, days=31)
    assert write(tmp_path, "a", case)
    monkeypatch.setenv(pruning.SWITCH, "40")
    pruning.enter(tmp_path)
    assert (tmp_path / "a.jsonl").exists()
    os.close(pruning._held.pop(tmp_path))
    monkeypatch.delenv(pruning.SWITCH)
    pruning.enter(tmp_path)
    assert not (tmp_path / "a.jsonl").exists()


@pytest.mark.parametrize("days", ["soon", "-1", "nan"])
def test_a_number_of_days_that_is_none_is_refused(days, monkeypatch):
    monkeypatch.setenv(pruning.SWITCH, days)
    with pytest.raises(ConfigError, match=r"POLYSPACE_SPOOL_DAYS is '.*': give a number of days"):
        pruning.keep_days()


def test_a_run_that_was_pruned_goes_on_as_one_by_either_id(client, mlflow_uri, capsys):
    with tracking.run("train", Settings(), "motion", ALONE) as record:
        record.metrics({"loss": 1.0}, step=1)
    ids = str(record.local_id), str(record.mlflow_id)
    for run_id in ids:
        main(TrackConfig(command=Sync(keep_days=0)))
        assert "1 runs of more than 0 days ago removed: MLflow has them" in capsys.readouterr().out
        # Another process would know nothing of them.
        monkey = sender.current()
        sender._senders.clear()
        assert sender.current() is not monkey
        assert tracking.run_of(run_id).name == "train"
        with tracking.run("train", Settings(), "motion", ALONE, earlier=run_id) as again:
            again.metrics({"loss": 1.0}, step=1)
            again.metrics({"loss": 0.5}, step=len(run_id) + ids.index(run_id))
    experiment = client.get_experiment_by_name("polyspace/motion")
    (run,) = client.search_runs([experiment.experiment_id])
    points = [(p.step, p.value) for p in client.get_metric_history(run.info.run_id, "loss")]
    assert points == [(1, 1.0), (32, 0.5), (33, 0.5)]
    assert run.data.tags["polyspace.run"] == ids[0]


def test_a_run_that_is_pruned_while_somebody_looks_is_not_there(tmp_path):
    write(tmp_path, "a" * 32, Case(True, True, True, False, False, False, 40))
    (tmp_path / f"{'b' * 32}.jsonl").symlink_to(tmp_path / "gone")
    assert [one.run_id for one in spools.found(tmp_path)] == ["a" * 32]


def test_a_run_nests_under_one_that_was_pruned(client, mlflow_uri):
    with tracking.pipeline("distill", Settings(), "motion", enabled=True) as tracker:
        pass
    main(TrackConfig(command=Sync(keep_days=0)))
    sender._senders.clear()
    with tracking.run("train", Settings(), "motion", tracker):
        pass
    experiment = client.get_experiment_by_name("polyspace/motion")
    found = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert found["train"].data.tags["mlflow.parentRunId"] == found["distill"].info.run_id

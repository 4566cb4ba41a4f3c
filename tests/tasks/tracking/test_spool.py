import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyspace.store.seal import seal
from tasks import addresses
from tasks.tracking import spool as spools
from tasks.tracking import state
from tasks.tracking.lines import Metrics, Tags
from tasks.tracking.spool import Spool


def line(step):
    return Metrics(values={"loss": step / 3, "r2": float("-inf")}, step=step, at_ms=step)


def told(spool, start=0):
    return [read.line for read in spool.read(start) if read.line]


def test_what_is_told_is_read_back_to_the_bit(tmp_path):
    spool = Spool(tmp_path, "a")
    for step in range(5):
        spool.append(line(step))
    assert told(Spool(tmp_path, "a")) == [line(step) for step in range(5)]


@given(st.integers(0, 200))
def test_a_line_that_was_cut_short_costs_itself_alone(tmp_path_factory, length):
    folder = tmp_path_factory.mktemp("spool")
    Spool(folder, "a").append(line(1))
    with (folder / "a.jsonl").open("ab") as file:
        file.write((b"\n" + seal(line(2).model_dump_json()))[:length])
    spool = Spool(folder, "a")
    spool.append(line(3))
    found = told(spool)
    assert (found[0], found[-1]) == (line(1), line(3))
    assert len(found) == 2 + (length >= len(seal(line(2).model_dump_json())))
    assert list(spool.read())[-1].end == spool.end()


def test_half_a_line_at_the_end_is_nothing_that_waits(tmp_path):
    spool = Spool(tmp_path, "a")
    spool.append(line(1))
    state.write(spool, state.State(mlflow_id="m", sent=spool.end()))
    with spool.path.open("ab") as file:
        file.write(b'{"kind":')
    assert state.waiting(spool) is None


def test_a_full_disk_costs_one_warning_and_no_line(tmp_path, monkeypatch, caplog):
    spool, whole = Spool(tmp_path, "a"), os.write
    spool.append(line(1))

    def full(handle, data):
        if len(data) > 20:
            return whole(handle, data[:20])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spools.os, "write", full)
    for step in (2, 3):
        spool.append(line(step))
    assert spool.unsaved() == [line(2), line(3)]
    assert [record.args[1] for record in caplog.records] == ["No space left on device"]
    monkeypatch.undo()
    spool.append(line(4))
    assert told(spool) == [line(step) for step in (1, 2, 3, 4)]
    assert spool.unsaved() == []


def test_a_real_full_disk_raises_nothing(caplog):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    spool = Spool(spools.Path("/dev"), "full")
    spool.path = spools.Path("/dev/full")
    spool.append(Tags(values={"a": "b"}))
    assert len(spool.unsaved()) == 1
    assert len(caplog.records) == 1


def test_one_sender_at_a_time_has_a_run(tmp_path):
    one, other = Spool(tmp_path, "a"), Spool(tmp_path, "a")
    one.append(line(1))
    with one.held() as first, other.held() as second:
        assert (first, second) == (True, False)
    with other.held() as again:
        assert again


def test_each_server_has_a_folder_that_tells_no_password(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://ann:secret@mlflow.example:5000/base")
    assert str(addresses.spool()) == "runs/spool/mlflow.example-5000-base"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///elsewhere/mlflow.db")
    assert str(addresses.spool()) == "elsewhere/spool"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert str(addresses.spool()) == "runs/spool"
    monkeypatch.setenv("POLYSPACE_SPOOL", "/scratch/spool")
    assert str(addresses.spool()) == "/scratch/spool"

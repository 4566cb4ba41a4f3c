import os
import signal
import threading
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from polyspace.config import Config
from polyspace.engine import checkpoint
from polyspace.engine.keeper import Keeper, KeepSettings, identity
from polyspace.engine.loop import Step
from polyspace.errors import CheckpointError, StoppedError

CPU = torch.device("cpu")


class Count:
    """A part that counts the steps."""

    def __init__(self):
        self.value = torch.zeros(3)

    def state_dict(self):
        return {"value": self.value}

    def load_state_dict(self, state):
        self.value = state["value"]


@pytest.fixture
def keep(tmp_path):
    """Drive a run of ten steps up to one of them; give what was counted."""

    def drive(until=10, part=None, record=None, **settings):
        part = part or Count()
        own = {"data": {"fingerprint": "f1"}, "config": {"lr": 0.1}, **(record or {})}
        keeper = Keeper(tmp_path, {"count": part}, own, KeepSettings(**settings))
        with keeper:
            for done in range(int(part.value[0]) + 1, until + 1):
                part.value += 1
                keeper.after(Step(1, done, 10, {}, 0.1, skipped=False))
        if until == 10:
            keeper.finish()
        return part.value.tolist()

    return drive


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_two_states_are_kept(keep, tmp_path):
    keep(until=7, save_every_steps=2)
    assert names(tmp_path) == [
        "run_000000004.pt",
        "run_000000004.pt.sha256",
        "run_000000006.pt",
        "run_000000006.pt.sha256",
    ]


def test_an_interrupted_run_goes_on_from_the_newest_and_says_so(keep, tmp_path, capsys):
    keep(until=7, save_every_steps=2)
    part = Count()
    assert keep(part=part) == [10.0] * 3
    assert capsys.readouterr().out == (
        f"going on after step 6 of 10: {tmp_path / 'run_000000006.pt'}\n"
    )


def test_a_complete_run_leaves_nothing(keep, tmp_path):
    keep(save_every_steps=2)
    assert names(tmp_path) == []


def test_a_run_that_is_to_begin_again_forgets_the_old(keep, tmp_path, capsys):
    keep(until=7, save_every_steps=2)
    keep(until=1, resume="never")
    assert names(tmp_path) == []
    assert capsys.readouterr().out == ""


def test_half_written_files_of_a_killed_run_are_removed(keep, tmp_path):
    (tmp_path / "run_000000004.pt.abc.partial").write_bytes(b"half")
    keep(until=1)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"config": {"lr": 0.2}}, r"run with config\.lr 0\.1, now it is 0\.2: give the same"),
        ({"data": {"fingerprint": "f2"}}, r"with data\.fingerprint f1, now it is f2"),
        ({"torch": "9"}, r"with torch None, now it is 9"),
        ({"device": "gpu"}, r"now it is gpu \(--resume precision allows it\)"),
        ({"precision": {"compute": "bf16"}}, r"\(--resume precision allows it\)"),
    ],
)
def test_another_run_is_refused_in_one_line(keep, record, message):
    keep(until=7, save_every_steps=2)
    with pytest.raises(CheckpointError, match=message) as refused:
        keep(record=record)
    assert "\n" not in str(refused.value)
    assert "--resume never to begin again" in str(refused.value)


def test_another_precision_is_gone_on_with_where_that_is_asked_for(keep):
    keep(until=7, save_every_steps=2)
    part = Count()
    changed = {"precision": {"compute": "bf16"}, "device": "gpu", "config": {"lr": 0.1}}
    assert keep(part=part, record=changed, resume="precision") == [10.0] * 3


def test_other_settings_are_refused_even_then(keep):
    keep(until=7, save_every_steps=2)
    with pytest.raises(CheckpointError, match=r"config\.lr 0\.1, now it is 0\.2: give"):
        keep(record={"config": {"lr": 0.2}}, resume="precision")


def test_a_damaged_state_is_refused_in_one_line(keep, tmp_path):
    keep(until=7, save_every_steps=2)
    newest = tmp_path / "run_000000006.pt"
    raw = bytearray(newest.read_bytes())
    raw[len(raw) // 2] ^= 1
    newest.write_bytes(raw)
    with pytest.raises(CheckpointError, match="is not the file that was written"):
        keep()


def test_a_state_of_a_newer_version_is_refused(keep, monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT", 2)
    keep(until=7, save_every_steps=2)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="has format 2"):
        keep()


def test_sigterm_saves_and_stops_after_the_step(keep, tmp_path):
    class Told(Count):
        def state_dict(self):
            return {"value": self.value.clone()}

    part, before = Told(), signal.getsignal(signal.SIGTERM)
    keeper = Keeper(tmp_path, {"count": part}, {}, KeepSettings())
    with keeper:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(StoppedError, match=r"after step 3 of 10 \(SIGTERM\): the same command"):
            keeper.after(Step(1, 3, 10, {}, 0.1, skipped=False))
    assert names(tmp_path) == ["run_000000003.pt", "run_000000003.pt.sha256"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_when_the_time_is_over_it_saves_and_stops(keep, tmp_path):
    with pytest.raises(StoppedError, match=r"after step 1 of 10 \(--max-minutes 1e-09\)"):
        keep(max_minutes=1e-9)
    assert names(tmp_path)[0] == "run_000000001.pt"


def test_a_run_that_has_just_ended_is_not_stopped(keep):
    part = Count()
    part.value += 9
    assert keep(part=part, max_minutes=1e-9) == [10.0] * 3


def test_it_saves_by_the_clock(keep, tmp_path):
    keep(until=3, save_every_minutes=1e-9)
    assert names(tmp_path)[-1] == "run_000000003.pt.sha256"


def test_in_another_thread_signals_are_left_alone(keep):
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=keep)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_decides_a_run_is_its_settings_but_not_when_it_is_saved_or_where_files_lie():
    class Settings(KeepSettings, Config):
        lr: float = 0.1
        save_dir: Path = Path("somewhere")

    found = identity({"config": {}, "fingerprint": "f"}, Settings(max_minutes=3), CPU)
    assert found == {
        "config": {"lr": 0.1},
        "fingerprint": "f",
        "device": "cpu",
        "torch": torch.__version__,
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"save_every_steps": 0},
        {"save_every_minutes": 0},
        {"max_minutes": 0},
        {"keep_best": 0},
        {"resume": "always"},
    ],
)
def test_settings_outside_their_bounds_are_refused(wrong):
    with pytest.raises(ValidationError):
        KeepSettings(**wrong)

import argparse

import pytest

from tests.benchmarks import orchestration_cost as cost
from tests.benchmarks import orchestration_document as document
from tests.benchmarks.orchestration_cost import Nap, Taken
from tests.support.stages import follow

ASKED = argparse.Namespace(seconds=2.0, rounds=2)


def test_the_stage_is_as_long_as_was_asked(tmp_path):
    steps, result = follow(cost.work(Nap(seconds=0.1, out=tmp_path / "out")))
    assert [step.done for step in steps] == [1, 2, 3, 4]
    assert result.stat().st_size == 2**20
    nap = Nap(seconds=0.1, out=tmp_path / "again")
    assert cost.measured(lambda: list(cost.work(nap))).seconds >= 0.1


def test_what_a_stage_costs_is_told_round_by_round():
    taken = {
        "bare": [Taken(2.0, 0.0), Taken(4.0, 0.0)],
        "as a flow": [Taken(3.0, 0.5), Taken(4.5, 0.5)],
    }
    *_, bare, flow = document._stage(taken, ASKED)
    assert bare == "| bare | **3.00** [2.00, 4.00] |  | **0** [0, 0] |"
    assert (
        flow
        == "| as a flow | **3.75** [3.00, 4.50] | **0.75** [0.50, 1.00] | **0.50** [0.50, 0.50] |"
    )


def test_triggers_within_the_goal_are_counted():
    text = " ".join(document._trigger([Taken(4.0, 3.0), Taken(9.9, 3.0), Taken(10.1, 3.0)]))
    assert "reached by 2 of 3; median 9.9 s" in text


def test_a_pipeline_that_is_there_is_verified_by_all_its_bytes(tmp_path, monkeypatch):
    made = tmp_path / "made"
    made.mkdir()
    (made / "report.json").write_bytes(bytes(1000))
    monkeypatch.setattr(cost, "_inputs", lambda config: {})
    folder = tmp_path / "copy"
    folder.mkdir()
    seconds, size = cost.cached_seconds(tmp_path, made, folder)
    assert size > 1000
    assert seconds == pytest.approx(0, abs=60)


def test_without_a_run_there_is_no_engine():
    assert cost._engine_seconds() == 0

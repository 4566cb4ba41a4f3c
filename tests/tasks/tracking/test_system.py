import time

from tasks.tracking import system


def wait_for(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_run_that_was_opened_last_is_told_and_only_while_it_is_open():
    outer, inner = [], []
    with system.watched(lambda values, step: outer.append(step), 0.02):
        with system.watched(lambda values, step: inner.append(values), 0.02):
            wait_for(lambda: len(inner) >= 2)
        before = len(inner)
        wait_for(lambda: outer)
    time.sleep(0.1)
    assert len(inner) <= before + 1
    assert 0 < inner[-1]["system/system_memory_usage_percentage"] <= 100
    assert inner[-1]["system/process_memory_megabytes"] > 1


def test_it_can_be_switched_off(monkeypatch):
    monkeypatch.setenv("POLYSPACE_SYSTEM_METRICS", "0")
    told = []
    with system.watched(lambda values, step: told.append(step), 0.01):
        time.sleep(0.1)
    assert told == []

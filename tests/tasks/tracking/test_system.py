import time

from tasks.tracking import system


def wait_for(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_run_that_was_opened_last_is_told_and_only_while_it_is_open():
    outer, inner = [], []
    with system.watched(lambda values, step, at: outer.append(step), 0.02):
        with system.watched(lambda values, step, at: inner.append(values), 0.02):
            wait_for(lambda: len(inner) >= 2)
        before = len(inner)
        wait_for(lambda: outer)
    time.sleep(0.1)
    assert len(inner) <= before + 1
    assert 0 < inner[-1]["system/system_memory_usage_percentage"] <= 100
    assert inner[-1]["system/process_memory_megabytes"] > 1


def test_points_wait_for_the_runs_own_figures_and_keep_their_times():
    told, own = [], []

    def tell(values, step, at_ms):
        told.append((at_ms, time.time() * 1000))

    with system.watched(tell, 0.05, has_figures=lambda: bool(own)):
        time.sleep(0.3)
        assert told == []
        own.append(True)
        wait_for(lambda: len(told) > 3)
    assert told[0][0] < told[0][1] - 100


def test_a_run_without_figures_of_its_own_is_told_of_at_its_end():
    told = []
    with system.watched(lambda *point: told.append(point), 0.02, has_figures=lambda: False):
        time.sleep(0.2)
        assert told == []
    assert told


def test_of_gpus_that_are_computed_on_it_is_told_how_full_they_are(monkeypatch):
    assert not any("gpu" in name for name in system.sample())
    monkeypatch.setattr("torch.cuda.is_initialized", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda number: (10**9 * (1 + number), 4 * 10**9))
    told = {name: value for name, value in system.sample().items() if "gpu" in name}
    assert told == {
        "system/gpu_0_memory_usage_megabytes": 3000,
        "system/gpu_0_memory_usage_percentage": 75,
        "system/gpu_1_memory_usage_megabytes": 2000,
        "system/gpu_1_memory_usage_percentage": 50,
    }


def test_it_can_be_switched_off(monkeypatch):
    monkeypatch.setenv("POLYSPACE_SYSTEM_METRICS", "0")
    told = []
    with system.watched(lambda values, step, at: told.append(step), 0.01):
        time.sleep(0.1)
    assert told == []

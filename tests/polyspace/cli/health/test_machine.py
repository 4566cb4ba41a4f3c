import pytest

from polyspace.cli.health import machine
from polyspace.precision import DeviceName


@pytest.fixture(autouse=True)
def cpu_only(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


def checks(asked: DeviceName = "auto"):
    return {check.name: check for check in machine.check(asked)}


def test_the_device_and_its_reason_are_said():
    assert checks("cpu")["device"].found == "cpu, as asked for"
    assert checks("auto")["device"].found.startswith("auto is cpu: ")
    assert checks("cuda")["device"].verdict == "error"
    assert "precision" not in checks("cuda")


def test_a_driver_that_torch_does_not_use_is_a_warning(tmp_path, monkeypatch):
    driver = tmp_path / "version"
    driver.write_text("580")
    monkeypatch.setattr(machine, "NVIDIA_DRIVER", driver)
    assert checks("auto")["device"].verdict == "warning"
    assert checks("cpu")["device"].verdict == "ok"


def test_speeds_of_other_types_are_measured():
    found = checks()["precision"].found
    assert found.startswith("float32 on cpu: ")
    assert "--use-bf16" in found
    assert "--use-amp" in found


def test_codecs_that_videos_come_in_are_all_there():
    assert checks()["codecs"].verdict == "ok"


def test_codecs_that_are_missing_are_named(monkeypatch):
    monkeypatch.setattr(machine, "DECODERS", {"h264": "h264", "vvc2": "no-such-decoder"})
    assert checks()["codecs"].verdict == "warning"
    assert "doesn't decode vvc2" in checks()["codecs"].found
    monkeypatch.setattr(machine, "DECODERS", {"h264": "no-such-decoder"})
    assert checks()["codecs"].verdict == "error"


def test_little_shared_memory_is_a_warning_and_none_is_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(machine, "LITTLE_SHARED_BYTES", 10**18)
    assert checks()["shared memory"].verdict == "warning"
    monkeypatch.setattr(machine, "SHARED_MEMORY", tmp_path / "none")
    assert "shared memory" not in checks()


@pytest.mark.parametrize(("limit", "verdict"), [("max\n", "ok"), ("1048576\n", "warning")])
def test_a_containers_limit_of_memory_counts(tmp_path, monkeypatch, limit, verdict):
    (tmp_path / "memory.max").write_text(limit)
    monkeypatch.setattr(machine, "CONTAINER_LIMIT", tmp_path / "memory.max")
    monkeypatch.setattr(machine, "LITTLE_MEMORY_BYTES", 2 * 2**20)
    assert checks()["machine"].verdict == verdict

import json

import pytest

from polyspace.cli.doctor import Doctor, examine
from polyspace.models.backbones import golden

OFFLINE = ("transnetv2", "efficientnet_lite0", "motion_vectors")


@pytest.fixture(autouse=True)
def nobodys_weights(monkeypatch, tmp_path):
    monkeypatch.delenv("POLYSPACE_WEIGHTS", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def lines_of(out):
    return {line.split(": ")[0].split(None, 1)[1]: line for line in out.splitlines()[:-1]}


def test_a_good_machine_is_good_and_what_is_not_here_is_a_warning(run, tmp_path):
    code, out, err = run("doctor", "--out", tmp_path)
    lines = lines_of(out)
    assert (code, err) == (0, "")
    assert lines["torch"].startswith("ok")
    for name in OFFLINE:
        assert "no weight missing or left over" in lines[name]
        assert lines[f"{name} features"].startswith("ok")
    for name in ("vjepa2", "videomae", "timesformer", "vivit"):
        assert lines[name].startswith("warning")
        assert f"--weights {name}=FOLDER" in lines[name]
    assert out.splitlines()[-1].endswith(" 0 errors")


def test_a_backbone_that_is_asked_for_and_not_here_is_an_error(run, tmp_path):
    code, out, _ = run("doctor", "--backbones", "vivit", "--out", tmp_path)
    assert code == 1
    assert lines_of(out)["vivit"].startswith("error")
    assert "transnetv2" not in lines_of(out)


def test_random_weights_are_a_warning_and_nobody_knows_their_features(run, tmp_path):
    words = ("--backbones", "videomae", "--weights", "videomae=random-tiny", "--out", tmp_path)
    code, out, _ = run("doctor", *words)
    lines = lines_of(out)
    assert code == 0
    assert "random weights, so for trials only" in lines["videomae"]
    assert "no golden features known" in lines["videomae features"]


def test_a_team_records_once_and_compares_elsewhere(run, tmp_path):
    file = tmp_path / "golden.json"
    words = ("--backbones", "videomae", "--weights", "videomae=random-tiny", "--out", tmp_path)
    assert run("doctor", *words, "--record", file)[0] == 0
    code, out, _ = run("doctor", *words, "--golden", file)
    assert code == 0
    assert lines_of(out)["videomae features"].startswith("ok")

    (entry,) = golden.read(file)
    first = entry.clips[0].model_copy(update={"mean": entry.clips[0].mean + 1})
    file.unlink()
    golden.record(file, [entry.model_copy(update={"clips": (first, *entry.clips[1:])})])
    code, out, _ = run("doctor", *words, "--golden", file)
    assert code == 1
    assert "extraction would write other features" in lines_of(out)["videomae features"]


def test_as_json_it_is_one_object(run, tmp_path):
    code, out, _ = run("doctor", "--backbones", "motion_vectors", "--out", tmp_path, "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["ok"] == sum(check["verdict"] == "ok" for check in facts["checks"])
    assert {"name", "verdict", "found", "remedy"} == set(facts["checks"][0])


def test_a_device_that_is_not_there_is_one_line_and_no_backbone_is_tried(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    checks = list(examine(Doctor(device="cuda", out=tmp_path)))
    (device,) = [check for check in checks if check.name == "device"]
    assert device.verdict == "error"
    assert not [check for check in checks if check.name in OFFLINE]


@pytest.mark.parametrize(
    "words",
    [
        ("--backbones", "videomea"),
        ("--weights", "nonsense"),
        ("--weights", "nobody=folder"),
        ("--golden", "not-there.json"),
    ],
)
def test_what_is_not_understood_is_one_line_and_2(run, tmp_path, words):
    code, out, err = run("doctor", *words, "--out", tmp_path)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1

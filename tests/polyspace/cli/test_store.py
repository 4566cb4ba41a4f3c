import json

import pytest

from polyspace.models.backbones.registry import NAMES
from polyspace.store.reader import FeatureStore


@pytest.fixture
def store(feature_stores):
    return feature_stores / "motion_train.zarr"


def test_info_says_what_a_store_holds(run, store):
    code, out, _ = run("store", "info", store)
    assert code == 0
    assert "8 clips: 8 done, 0 quarantined, 0 pending" in out
    assert "student [1, 2, 1, 4] float16" in out
    assert f"fingerprint: {FeatureStore.open(store).fingerprint}" in out


def test_info_is_one_json_object_when_asked(run, store):
    code, out, _ = run("store", "info", store, "--json")
    facts = json.loads(out)
    assert code == 0
    assert (facts["dataset"], facts["split"]) == ("motion", "train")
    assert facts["coverage"] == {"clips": 8, "done": 8, "quarantined": {}, "pending": 0}
    assert facts["backbones"]["teacher"]["dim"] == 4
    assert facts["fingerprint"] == FeatureStore.open(store).fingerprint


def test_verify_of_a_good_store_is_one_line_and_0(run, store):
    code, out, _ = run("store", "verify", store)
    assert code == 0
    assert out.count("\n") == 1
    assert "every byte is as it was written" in out


def test_verify_names_every_bad_clip_and_exits_with_1(run, store):
    file = store / "tokens" / "teacher" / "c.0.0.0.0.0"
    content = bytearray(file.read_bytes())
    for row in (2, 5):
        # Eight values of two bytes a clip.
        content[16 * row] ^= 1
    file.write_bytes(content)
    code, out, _ = run("store", "verify", store)
    assert code == 1
    lines = out.splitlines()
    assert [line.split(":")[0] for line in lines[:-1]] == ["train-2", "train-5"]
    assert all(str(file) in line for line in lines[:-1])
    assert "2 clips are damaged" in lines[-1]


def test_verify_of_damaged_metadata_exits_with_1(run, store):
    (store / "label" / "zarr.json").write_bytes(b"")
    code, out, _ = run("store", "verify", store)
    assert code == 1
    assert "metadata" in out
    assert out.count("\n") == 1


@pytest.mark.parametrize("command", ["info", "verify"])
def test_a_folder_without_a_store_is_one_line_and_2(run, tmp_path, command):
    code, out, err = run("store", command, tmp_path)
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith(f"error: no feature store at {tmp_path}")


@pytest.mark.parametrize("words", [(), ("store",), ("shop", "info"), ("store", "info")])
def test_a_command_that_is_none_is_one_line_and_2(run, words):
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_backbones_are_listed_one_a_line(run):
    assert run("backbones") == (0, "\n".join(NAMES) + "\n", "")

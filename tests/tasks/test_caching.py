import json

import pytest
from pydantic import JsonValue

from tasks import caching

INPUTS: dict[str, JsonValue] = {"config": {"epochs": 2, "lr": 0.1}, "train": "ab" * 32}


@pytest.fixture
def folder(tmp_path):
    """A stage's folder, sealed."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "weights.pt").write_bytes(b"weights")
    (tmp_path / "deep" / "curves.json").write_text("{}")
    caching.seal(tmp_path, INPUTS, result=tmp_path / "weights.pt", seconds=1.5, run_id="r1")
    return tmp_path


def test_an_untouched_stage_is_verified_and_knows_its_result(folder):
    receipt = caching.verified(folder, INPUTS)

    assert receipt is not None
    assert (receipt.result, receipt.seconds, receipt.run_id) == ("weights.pt", 1.5, "r1")
    assert set(receipt.outputs) == {"weights.pt", "deep/curves.json"}


def test_a_folder_without_a_receipt_proves_nothing(tmp_path, capsys):
    assert caching.verified(tmp_path, INPUTS) is None
    assert capsys.readouterr().out == ""


def test_one_changed_byte_of_an_artefact_is_found_and_named(folder, capsys):
    (folder / "weights.pt").write_bytes(b"weightz")

    assert caching.verified(folder, INPUTS) is None
    assert "weights.pt changed" in capsys.readouterr().out


def test_a_missing_artefact_is_found_and_named(folder, capsys):
    (folder / "deep" / "curves.json").unlink()

    assert caching.verified(folder, INPUTS) is None
    assert "deep/curves.json is missing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("inputs", "name"),
    [
        (INPUTS | {"config": {"epochs": 3, "lr": 0.1}}, "config"),
        (INPUTS | {"train": "cd" * 32}, "train"),
        (INPUTS | {"converters": "ef" * 32}, "converters"),
        ({"config": INPUTS["config"]}, "train"),
    ],
)
def test_another_input_is_found_and_named(folder, capsys, inputs, name):
    assert caching.verified(folder, inputs) is None
    assert f"{name} changed" in capsys.readouterr().out


def test_other_code_is_another_input(folder, capsys, monkeypatch):
    monkeypatch.setattr(caching, "code", lambda: "another version")

    assert caching.verified(folder, INPUTS) is None
    assert "code changed" in capsys.readouterr().out


def test_the_order_in_which_settings_are_written_does_not_matter(folder):
    config: JsonValue = {"lr": 0.1, "epochs": 2}

    assert caching.verified(folder, {"train": INPUTS["train"], "config": config}) is not None


def test_a_file_that_somebody_added_later_does_not_matter(folder):
    (folder / "notes.txt").write_text("mine")

    assert caching.verified(folder, INPUTS) is not None


@pytest.mark.parametrize("text", ["", "{", json.dumps({"inputs": {}})])
def test_a_damaged_receipt_proves_nothing(folder, text):
    (folder / caching.NAME).write_text(text)

    assert caching.verified(folder, INPUTS) is None


def test_forgetting_removes_receipts_at_every_depth_and_nothing_else(folder):
    caching.seal(folder / "deep", INPUTS, result=folder / "deep", seconds=0.0)

    caching.forget(folder)

    assert caching.read(folder) is None
    assert caching.read(folder / "deep") is None
    assert (folder / "weights.pt").read_bytes() == b"weights"

import csv
import hashlib

import pytest
import torch

from polyspace.engine import checkpoint, validation
from polyspace.engine.loop import Step


@pytest.fixture
def path(tmp_path):
    return lambda epoch: tmp_path / f"made_ep{epoch}.pt"


def write(tmp_path, path, epochs, *, kept, total=100):
    for entry in epochs:
        checkpoint.save(
            path(entry["epoch"]), "made", {"w": torch.full((2,), float(entry["epoch"]))}
        )
    last = epochs[-1]
    step = Step(last["epoch"], 1, total, {}, 0.1, skipped=False, scores={"top1": last["top1"]})
    validation.record(tmp_path, epochs, step, kept=kept, steps_per_epoch=7, path=path)
    with (tmp_path / validation.NAME).open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_kept_epoch_has_a_row_with_its_step_and_the_sha256_of_its_bytes(tmp_path, path):
    epochs = [{"epoch": epoch, "loss": 1.0, "top1": epoch / 10} for epoch in range(4)]
    rows = write(tmp_path, path, epochs, kept={0, 2, 3}, total=20)
    assert [(row["step"], row["epoch"]) for row in rows] == [("0", "0"), ("14", "2"), ("20", "3")]
    assert list(rows[0]) == ["step", "epoch", "checkpoint", "sha256", "top1"]
    for row in rows:
        file = tmp_path / row["checkpoint"]
        assert row["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_scores_are_written_to_the_last_bit(tmp_path, path):
    (row,) = write(tmp_path, path, [{"epoch": 0, "top1": 1 / 3}], kept={0})
    assert float(row["top1"]) == 1 / 3


def test_an_epoch_whose_scores_are_no_numbers_is_no_candidate(tmp_path, path):
    epochs = [{"epoch": 0, "top1": 0.5}, {"epoch": 1, "top1": float("nan")}]
    assert [row["epoch"] for row in write(tmp_path, path, epochs, kept={0, 1})] == ["0"]


def test_a_checkpoint_that_somebody_took_away_stops_no_run(tmp_path, path):
    step = Step(0, 0, 1, {}, 0.1, skipped=False, scores={"top1": 0.5})
    epochs = [{"epoch": 0, "top1": 0.5}]
    validation.record(tmp_path, epochs, step, kept={0}, steps_per_epoch=1, path=path)
    assert (tmp_path / validation.NAME).read_text() == "step,epoch,checkpoint,sha256\n"

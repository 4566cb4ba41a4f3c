"""The table that training leaves for selection agrees with what training itself chose."""

import csv
from itertools import islice

import pytest

from polyspace.engine import checkpoint, validation
from polyspace.errors import StoppedError
from polyspace.export.selection import dossier
from polyspace.export.selection.options import PolicyOptions
from polyspace.train import train_converter, train_fusion


def rows(folder):
    with (folder / validation.NAME).open(newline="") as file:
        return list(csv.DictReader(file))


def test_selection_takes_the_epoch_that_training_kept(fusion):
    chosen = dossier.choose(fusion.parent / validation.NAME, fusion.parent, PolicyOptions())
    scores = checkpoint.load(fusion, "fusion")["scores"]
    assert chosen.policy.name == "scores"
    assert chosen.winner.found.row.epoch == scores["epoch"]
    assert chosen.winner.metrics == {name: scores[name] for name in ("top1", "log_likelihood")}
    assert chosen.unmeasured == ()


def test_of_converters_the_mean_over_teachers_decides(converters):
    chosen = dossier.choose(converters.parent / validation.NAME, converters.parent, PolicyOptions())
    assert chosen.policy.name == "explained"
    best = max(float(row["r2"]) for row in rows(converters.parent))
    assert chosen.winner.score == best


@pytest.mark.parametrize("stage", ["converters", "fusion"])
def test_only_checkpoints_that_are_still_there_are_in_the_table(
    stage, features, converters, converter_settings, fusion_settings, tmp_path, finish
):
    if stage == "fusion":
        settings = fusion_settings(features, converters, tmp_path, keep_best=2, epochs=6)
        path = finish(train_fusion.run(settings))
    else:
        settings = converter_settings(features, tmp_path, keep_best=2, epochs=6)
        path = finish(train_converter.run(settings))
    there = {file.name for file in path.parent.glob("*_ep*.pt")}
    assert {row["checkpoint"] for row in rows(path.parent)} == there
    assert 2 <= len(there) < 7
    dossier.choose(path.parent / validation.NAME, path.parent, PolicyOptions())


def test_a_run_that_was_interrupted_leaves_the_same_table(
    features, converters, fusion_settings, tmp_path, finish
):
    def run(name, **changes):
        settings = fusion_settings(features, converters, tmp_path / name, batch=8, **changes)
        return train_fusion.run(settings)

    whole = finish(run("whole"))
    with pytest.raises(StoppedError):
        finish(run("parts", max_minutes=1e-9))
    list(islice(run("parts", save_every_steps=1), 11))
    parts = finish(run("parts"))
    scores = [
        [{name: row[name] for name in row if name != "sha256"} for row in rows(path.parent)]
        for path in (whole, parts)
    ]
    assert scores[0] == scores[1]
    dossier.choose(parts.parent / validation.NAME, parts.parent, PolicyOptions())

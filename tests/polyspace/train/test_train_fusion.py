import json
import shutil

import pytest
import torch

from polyspace import console
from polyspace.engine import checkpoint
from polyspace.errors import (
    CheckpointError,
    ConfigError,
    LabelError,
    PolySpaceError,
    PrecisionError,
    StoreError,
    UnknownNameError,
)
from polyspace.models.fusion import Fusion
from polyspace.train import train_fusion
from polyspace.train.train_fusion import FusionConfig
from tests.support.stores import make_store


@pytest.fixture
def trained(fusion):
    return checkpoint.load(fusion, "fusion")


@pytest.fixture
def settings(features, converters, fusion_settings, tmp_path):
    return lambda **changes: fusion_settings(
        changes.pop("root", features),
        changes.pop("converters", converters),
        tmp_path / "out",
        **changes,
    )


def test_every_epoch_leaves_a_checkpoint_that_anyone_can_load(fusion):
    names = sorted(path.name for path in fusion.parent.glob("*.pt"))
    assert names == ["fusion.pt", *(f"fusion_ep{epoch}.pt" for epoch in range(4))]
    for name in names:
        assert torch.load(fusion.with_name(name), weights_only=True)["kind"] == "fusion"


def test_it_learns_the_labels(trained):
    assert trained["scores"]["top1"] > 0.9


def test_the_best_epoch_is_kept_although_it_is_not_the_last(settings, finish):
    path = finish(train_fusion.run(settings(lr=10.0, epochs=4)))
    epochs = json.loads((path.parent / "curves.json").read_text())["epochs"]
    ranks = [(entry["top1"], entry["log_likelihood"]) for entry in epochs]
    kept = checkpoint.load(path, "fusion")
    assert (kept["scores"]["top1"], kept["scores"]["log_likelihood"]) == max(ranks)
    assert kept["scores"]["epoch"] == ranks.index(max(ranks)) < 4
    best = checkpoint.load(path.with_name(f"fusion_ep{kept['scores']['epoch']}.pt"), "fusion")
    assert all(torch.equal(best["state"][name], kept["state"][name]) for name in best["state"])


def test_the_checkpoint_rebuilds_the_fusion(trained, train):
    model = Fusion.from_record(trained)
    assert list(model.spec.teachers) == ["flow", "look"]
    assert model.spec.student == train.shape("stu")
    assert model.spec.class_names == ("c0", "c1", "c2")


def test_equal_seeds_give_equal_bits(settings, trained, finish):
    torch.manual_seed(999)
    again = checkpoint.load(finish(train_fusion.run(settings())), "fusion")["state"]
    assert all(torch.equal(again[name], trained["state"][name]) for name in again)


def test_silent_error_14_the_test_split_has_no_part_in_training(
    features, settings, trained, tmp_path, finish
):
    alone = tmp_path / "features"
    alone.mkdir()
    shutil.copytree(features / "toy_train.zarr", alone / "toy_train.zarr")
    state = checkpoint.load(finish(train_fusion.run(settings(root=alone))), "fusion")["state"]
    assert all(torch.equal(state[name], trained["state"][name]) for name in state)


def test_only_the_student_need_be_in_the_store(settings, trained, tmp_path, finish):
    make_store(tmp_path / "few", "train", clips=72, groups=18, teachers={})
    path = finish(train_fusion.run(settings(root=tmp_path / "few")))
    state = checkpoint.load(path, "fusion")["state"]
    assert all(torch.equal(state[name], trained["state"][name]) for name in state)


def test_teachers_are_fused_in_the_order_asked_for(settings, finish):
    path = finish(train_fusion.run(settings(teachers=("look", "flow"), epochs=1)))
    assert list(checkpoint.load(path, "fusion")["spec"]["teachers"]) == ["look", "flow"]


def test_some_of_the_teachers_may_be_fused(settings, finish):
    path = finish(train_fusion.run(settings(teachers=("look",), epochs=1)))
    assert list(checkpoint.load(path, "fusion")["spec"]["teachers"]) == ["look"]


@pytest.mark.parametrize("flag", ["use_amp", "use_bf16"])
def test_reduced_precision_learns_the_labels_too(settings, flag, finish):
    path = finish(train_fusion.run(settings(**{flag: True})))
    rounded = checkpoint.load(path, "fusion")
    assert rounded["scores"]["top1"] > 0.9
    assert {value.dtype for value in rounded["state"].values()} == {torch.float32}


def test_features_fp16_is_answered_in_one_line(settings, capsys):
    next(train_fusion.run(settings(features_fp16=True)))
    said = capsys.readouterr().out
    assert said == "--features_fp16 is not needed: the store itself says float16\n"


def test_without_the_flag_nothing_is_said(settings, capsys):
    next(train_fusion.run(settings()))
    assert capsys.readouterr().out == ""


def test_cached_features_may_lie_in_a_folder_of_their_own(settings, features, tmp_path):
    config = settings(root=tmp_path / "videos", cached_features_path=features)
    assert next(train_fusion.run(config)).done == 0


def test_more_classes_than_the_data_set_names_get_numbers(settings, finish):
    path = finish(train_fusion.run(settings(classes=4, epochs=1)))
    names = checkpoint.load(path, "fusion")["spec"]["class_names"]
    assert names == ["c0", "c1", "c2", "class_3"]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"classes": 2}, LabelError, r"--classes 2, but 24 clips"),
        ({"teachers": ("depth",)}, UnknownNameError, r"'depth'.*known are flow, look"),
        ({"converters": "/nowhere.pt"}, CheckpointError, r"no converters checkpoint at /nowhere"),
        ({"root": "/nowhere"}, StoreError, r"no feature store toy_train.zarr in /nowhere"),
        ({"dataset": "ucf101"}, StoreError, r"no feature store ucf101_train.zarr"),
        ({"student": "depth"}, ConfigError, "translates from stu, not from depth"),
        ({"use_amp": True, "use_bf16": True}, PrecisionError, r"both --use-amp .* keep one"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_in_one_line(settings, changes, error, message):
    with pytest.raises(error, match=message) as refused:
        next(train_fusion.run(settings(**changes)))
    assert "\n" not in str(refused.value)


def test_a_fusion_in_place_of_converters_is_refused(settings, fusion):
    with pytest.raises(CheckpointError, match=r"fusion\.pt holds fusion, expected converters"):
        next(train_fusion.run(settings(converters=fusion)))


def test_features_of_other_weights_than_the_converters_are_refused(settings, tmp_path):
    make_store(tmp_path / "other", "train", fingerprints={"stu": "stu-2"})
    with pytest.raises(StoreError, match="converters were trained on stu from"):
        next(train_fusion.run(settings(root=tmp_path / "other")))


def test_a_teacher_of_the_converters_in_place_of_their_student_is_refused(settings):
    with pytest.raises(PolySpaceError, match="stu"):
        next(train_fusion.run(settings(student="flow")))


def test_the_command_line_trains_and_says_what_comes_next(features, converters, tmp_path, capsys):
    options = (
        f"--dataset toy --root {features} --student stu --teachers flow look --classes 3 "
        f"--converters {converters} --use_cached_features --epochs 1 --save_dir {tmp_path}"
    )
    with pytest.raises(SystemExit) as stop:
        console.run(FusionConfig, train_fusion.main, options.split())
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert "on held-out groups, epoch 1" in said
    assert f"wrote {tmp_path}" in said

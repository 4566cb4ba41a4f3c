import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from polyspace import console
from polyspace.engine import checkpoint
from polyspace.errors import ConfigError, PrecisionError, StoreError
from polyspace.models.converters import Translator
from polyspace.train import train_converter
from polyspace.train.train_converter import ConverterConfig
from tests.support.stores import make_store


@pytest.fixture
def trained(converters):
    return checkpoint.load(converters, "converters")


def test_every_epoch_leaves_a_checkpoint_that_anyone_can_load(converters):
    names = sorted(path.name for path in converters.parent.glob("*.pt"))
    assert names == ["converters.pt", *(f"converters_ep{epoch}.pt" for epoch in range(3))]
    for name in names:
        content = torch.load(converters.with_name(name), weights_only=True)
        assert content["kind"] == "converters"


def test_curves_say_losses_and_scores_of_every_epoch(converters):
    epochs = json.loads((converters.parent / "curves.json").read_text())["epochs"]
    assert [entry["epoch"] for entry in epochs] == [0, 1, 2]
    assert set(epochs[0]) == {"epoch", "r2", "r2/flow", "r2/look"}
    assert set(epochs[1]) >= {"loss", "flow/cosine", "look/smooth_l1", "r2/look"}


def test_each_teacher_keeps_its_own_best_epoch(converters, trained):
    epochs = json.loads((converters.parent / "curves.json").read_text())["epochs"]
    for teacher in ("flow", "look"):
        scores = [entry[f"r2/{teacher}"] for entry in epochs]
        assert trained["scores"][teacher] == max(scores)
        best = converters.with_name(f"converters_ep{int(np.argmax(scores))}.pt")
        state = checkpoint.load(best, "converters")["state"]
        own = [name for name in state if name.startswith(f"converters.{teacher}.")]
        assert own
        assert all(torch.equal(trained["state"][name], state[name]) for name in own)


def test_behind_a_trunk_one_epoch_is_kept_for_all(features, converter_settings, tmp_path, finish):
    changes = {"trunk": 8, "balance": "drop", "epochs": 4, "lr": 1e-2}
    path = finish(train_converter.run(converter_settings(features, tmp_path, **changes)))
    kept = checkpoint.load(path, "converters")
    epochs = json.loads((tmp_path / "curves.json").read_text())["epochs"]
    best = max(epochs, key=lambda entry: entry["r2"])
    assert kept["scores"] == {name: best[f"r2/{name}"] for name in ("flow", "look")}
    same = checkpoint.load(tmp_path / f"converters_ep{best['epoch']}.pt", "converters")["state"]
    assert kept["state"].keys() == same.keys()
    assert all(torch.equal(value, same[name]) for name, value in kept["state"].items())
    assert any(name.startswith("trunk.") for name in same)


@pytest.mark.parametrize("balance", ["none", "drop", "explained", "uncertainty"])
def test_behind_a_trunk_every_converter_starts_at_ridge(
    features, converter_settings, tmp_path, converters, balance, finish
):
    changes = {"trunk": 8, "balance": balance, "epochs": 1}
    path = finish(train_converter.run(converter_settings(features, tmp_path, **changes)))
    first = checkpoint.load(path.with_name("converters_ep0.pt"), "converters")
    plain = checkpoint.load(converters.with_name("converters_ep0.pt"), "converters")
    assert first["scores"] == plain["scores"]
    assert all(torch.equal(first["state"][name], value) for name, value in plain["state"].items())
    others = {name.split(".")[0] for name in first["state"]}
    assert others == {"student", "converters", "trunk"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--kind ridge --trunk 8", "--kind ridge is solved, but --trunk 8 .* leave --trunk out"),
        ("--balance drop", "--balance drop weighs teachers .* give --trunk 256, or leave"),
    ],
)
def test_what_would_change_nothing_is_refused_on_the_command_line(options, message):
    with pytest.raises(ConfigError, match=message) as refused:
        console.parse(ConverterConfig, f"--features f --teachers flow {options}".split())
    assert "\n" not in str(refused.value)


def test_the_checkpoint_rebuilds_the_translator(trained, train):
    translator = Translator.from_record(trained)
    assert translator.student_name == "stu"
    assert translator.specs["look"].target == train.shape("look")


def test_the_checkpoint_says_what_it_was_made_of(trained, train):
    made = trained["provenance"]
    assert made["fingerprint"] == train.fingerprint
    assert set(made["weights"]) == {"stu", "flow", "look"}
    assert made["config"]["epochs"] == 2


@pytest.mark.parametrize("kind", ["mean", "procrustes", "ridge", "orthogonal", "ols", "low_rank"])
def test_closed_form_kinds_have_epoch_zero_alone(
    features, converter_settings, tmp_path, kind, finish
):
    path = finish(train_converter.run(converter_settings(features, tmp_path, kind=kind)))
    assert sorted(p.name for p in tmp_path.glob("*.pt")) == ["converters.pt", "converters_ep0.pt"]
    scores = checkpoint.load(path, "converters")["scores"]
    exact = (0.9999, 1)
    low, high = {"mean": (-0.2, 0.05), "procrustes": (0.5, 1), "orthogonal": (0.4, 1)}.get(
        kind, exact
    )
    assert low <= scores["flow"] <= high


@pytest.mark.parametrize(
    "kind", ["linear", "dsconv", "perceiver", "token_learner", "temporal_transformer"]
)
def test_every_trained_kind_starts_at_ridge_and_keeps_what_is_no_worse(
    features, converter_settings, tmp_path, finish, kind
):
    config = converter_settings(features, tmp_path, kind=kind, epochs=1)
    content = checkpoint.load(finish(train_converter.run(config)), "converters")
    first = checkpoint.load(tmp_path / "converters_ep0.pt", "converters")["scores"]
    assert first["r2/flow"] > 0.9999
    assert all(content["scores"][name] >= first[f"r2/{name}"] for name in content["scores"])
    assert Translator.from_record(content).specs["look"].kind == kind


def test_a_trained_kind_is_never_worse_than_ridge_on_the_hold_out(
    features, converter_settings, tmp_path, trained, finish
):
    path = finish(train_converter.run(converter_settings(features, tmp_path, kind="ridge")))
    ridge = checkpoint.load(path, "converters")["scores"]
    assert all(trained["scores"][name] >= ridge[name] - 1e-6 for name in ridge)


def test_every_step_is_yielded_and_says_how_far_it_is(features, converter_settings, tmp_path):
    steps = list(train_converter.run(converter_settings(features, tmp_path)))
    assert [step.done for step in steps] == list(range(len(steps)))
    assert {step.total for step in steps} == {len(steps) - 1}


def test_equal_seeds_give_equal_bits(features, converter_settings, tmp_path, trained, finish):
    torch.manual_seed(999)  # whatever was drawn before
    path = finish(train_converter.run(converter_settings(features, tmp_path)))
    again = checkpoint.load(path, "converters")["state"]
    assert all(torch.equal(again[name], trained["state"][name]) for name in again)


def test_another_seed_gives_other_weights(features, converter_settings, tmp_path, trained, finish):
    path = finish(train_converter.run(converter_settings(features, tmp_path, seed=1)))
    other = checkpoint.load(path, "converters")["state"]
    assert not torch.equal(
        other["converters.look.map.up.weight"], trained["state"]["converters.look.map.up.weight"]
    )


def test_silent_error_14_the_test_split_has_no_part_in_training(
    features, converter_settings, tmp_path, trained, finish
):
    alone = tmp_path / "features"
    alone.mkdir()
    shutil.copytree(features / "toy_train.zarr", alone / "toy_train.zarr")
    path = finish(train_converter.run(converter_settings(alone, tmp_path / "out")))
    state = checkpoint.load(path, "converters")["state"]
    assert all(torch.equal(state[name], trained["state"][name]) for name in state)


@pytest.mark.parametrize("flag", ["use_amp", "use_bf16"])
def test_reduced_precision_agrees_with_float32(
    features, converter_settings, tmp_path, trained, flag, finish
):
    path = finish(train_converter.run(converter_settings(features, tmp_path, **{flag: True})))
    rounded = checkpoint.load(path, "converters")
    assert rounded["scores"] == pytest.approx(trained["scores"], abs=0.01)
    assert {value.dtype for value in rounded["state"].values()} == {torch.float32}
    assert rounded["provenance"]["precision"]["compute"] == {"use_amp": "fp16"}.get(flag, "bf16")


def test_the_student_may_be_another_backbone(features, converter_settings, tmp_path, finish):
    config = converter_settings(features, tmp_path, student="look", teachers=("flow",), d_in=8)
    content = checkpoint.load(finish(train_converter.run(config)), "converters")
    assert content["student"] == "look"


def test_dimensions_that_agree_with_the_store_are_accepted(features, converter_settings, tmp_path):
    config = converter_settings(features, tmp_path, teachers=("flow",), d_in=6, d_out=3)
    assert next(train_converter.run(config)).epoch == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"d_in": 768}, r"--d_in 768, but the store holds stu with 6 dimensions: leave --d_in out"),
        ({"d_out": 3}, r"--d_out 3, but the store holds look with 8 dimensions"),
    ],
)
def test_dimensions_that_do_not_are_refused(
    features, converter_settings, tmp_path, changes, message
):
    with pytest.raises(ConfigError, match=message):
        next(train_converter.run(converter_settings(features, tmp_path, **changes)))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"features": Path("/nowhere")}, StoreError, r"no feature store .*nothing is there"),
        ({"dataset": "ucf101"}, StoreError, r"no feature store ucf101_train.zarr"),
        ({"split": "validation"}, StoreError, r"no feature store \*_validation.zarr"),
        ({"teachers": ("depth",)}, StoreError, r"not depth: add it with"),
        ({"student": "depth"}, StoreError, r"not depth: add it with"),
        ({"normalizer": "phi_s"}, ConfigError, r"order 3 can be built .* --normalizer per_dim"),
        ({"losses": ("vicreg=1",), "batch": 1}, ConfigError, r"vicreg compares .* needs 2 or more"),
        ({"use_amp": True, "use_bf16": True}, PrecisionError, r"both --use-amp .* keep one"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_in_one_line(
    features, converter_settings, tmp_path, changes, error, message
):
    config = converter_settings(**{"features": features, "save_dir": tmp_path} | changes)
    with pytest.raises(error, match=message) as refused:
        next(train_converter.run(config))
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.glob("*.pt"))


def test_quarantined_clips_are_left_out(converter_settings, tmp_path, finish):
    make_store(tmp_path, "train", clips=36, quarantined=4)
    path = finish(train_converter.run(converter_settings(tmp_path, tmp_path / "out", epochs=1)))
    assert checkpoint.load(path, "converters")["scores"]["flow"] > 0.999


def test_the_command_line_trains_and_says_what_comes_next(features, tmp_path, capsys):
    options = f"--features {features} --teachers flow look --kind ridge --save_dir {tmp_path}"
    with pytest.raises(SystemExit) as stop:
        console.run(ConverterConfig, train_converter.main, options.split())
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert "flow: 100.0% of its variance explained" in said
    assert f"next: python -m polyspace.train.train_fusion --converters {tmp_path}" in said


def test_the_seeds_options_are_understood(tmp_path):
    options = "--features f --teachers a b --d_in 6 --d_out 3 --kind residual_mlp --epochs 10"
    options += " --batch 128 --lr 1e-3 --save_dir s --use-bf16"
    config = console.parse(ConverterConfig, options.split())
    assert (config.teachers, config.epochs, config.use_bf16) == (("a", "b"), 10, True)


def test_losses_are_given_by_name_and_weight(features, converter_settings, tmp_path, finish):
    options = f"--features {features} --teachers flow --losses l2=1 pooled_info_nce=0.1"
    config = console.parse(ConverterConfig, options.split())
    assert config.losses == ("l2=1", "pooled_info_nce=0.1")
    finish(train_converter.run(converter_settings(features, tmp_path, losses=config.losses)))
    epochs = json.loads((tmp_path / "curves.json").read_text())["epochs"]
    assert set(epochs[1]) >= {"flow/l2", "look/l2", "flow/pooled_info_nce"}
    assert "flow/cosine" not in epochs[1]


def test_an_unknown_loss_is_refused_on_the_command_line():
    options = "--features f --teachers flow --losses cosin=1"
    with pytest.raises(ConfigError, match="unknown loss 'cosin': did you mean 'cosine'") as refused:
        console.parse(ConverterConfig, options.split())
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("normalizer", ["none", "isotropic", "phi_s", "pca_whitening"])
def test_the_normalizer_is_saved_with_the_converter(
    features, converter_settings, tmp_path, train, finish, normalizer
):
    config = converter_settings(features, tmp_path, teachers=("look",), normalizer=normalizer)
    content = checkpoint.load(finish(train_converter.run(config)), "converters")
    assert content["specs"]["look"]["normalizer"] == normalizer
    assert 0.5 < content["scores"]["look"] <= 1
    translator = Translator.from_record(content).eval()
    values = train.tokens("look", np.arange(4))
    own = translator["look"].teacher
    assert normalizer == "none" or not torch.allclose(own(values), values)
    torch.testing.assert_close(own.inverse(own(values)), values, rtol=0, atol=1e-4)


def test_checkpoints_of_before_normalizers_had_names_are_still_read(trained):
    for spec in trained["specs"].values():
        del spec["normalizer"]
    assert Translator.from_record(trained).specs["look"].normalizer == "per_dimension"

import json

import pytest

from polyspace import console
from polyspace.errors import ConfigError, PrecisionError, UnknownNameError
from polyspace.train import eval_downstream, train_fusion
from polyspace.train.eval_downstream import EvalDownstreamConfig
from tests.support.stages import finish


@pytest.fixture
def score(features, converters, fusion, tmp_path):
    def score_one(**changes):
        settings = {
            "dataset": "toy",
            "root": features,
            "student": "stu",
            "use_cached_features": True,
            "converters": converters,
            "fusion": fusion,
            "device": "cpu",
            "save_dir": tmp_path,
        }
        config = EvalDownstreamConfig.model_validate(settings | changes)
        return json.loads(finish(eval_downstream.run(config)).read_text())

    return score_one


@pytest.mark.parametrize("flag", ["use_amp", "use_bf16"])
def test_what_was_trained_in_float32_is_evaluated_in_another_type(score, flag):
    exact, rounded = score(), score(**{flag: True})
    assert rounded["top1"] == pytest.approx(exact["top1"], abs=0.06)
    assert (exact["config"][flag], rounded["config"][flag]) == (False, True)


@pytest.mark.parametrize("flags", [{}, {"use_bf16": True}], ids=["fp32", "bf16"])
def test_the_student_alone_learns_the_labels(score, flags):
    alone = {"student_only": True, "fusion": None, "converters": None, "epochs": 5}
    assert score(**alone, **flags)["top1"] > 0.9


def test_two_types_at_once_are_refused(score):
    with pytest.raises(PrecisionError, match=r"both --use-amp .* keep one"):
        score(use_amp=True, use_bf16=True)


def test_neither_a_fusion_nor_the_student_alone_is_refused(score):
    with pytest.raises(ConfigError, match="what shall be scored"):
        score(fusion=None)


def test_a_fusion_can_do_without_a_teacher(
    score, features, converters, fusion_settings, tmp_path, finish
):
    settings = {"teacher_dropout": 0.5, "epochs": 6, "lr": 1e-2, "save_dir": tmp_path / "trained"}
    trained = finish(train_fusion.run(fusion_settings(features, converters, **settings)))
    assert all(score(fusion=trained, without=[name])["top1"] > 0.8 for name in ("flow", "look"))


def test_doing_without_an_unknown_teacher_is_refused(score):
    with pytest.raises(UnknownNameError, match=r"'flaw'.*flow"):
        score(without=["flaw"])


def test_programs_get_the_record_and_nothing_else(features, converters, fusion, tmp_path, capsys):
    words = ["--dataset", "toy", "--root", features, "--student", "stu", "--use_cached_features"]
    words += ["--converters", converters, "--fusion", fusion, "--save_dir", tmp_path, "--json"]
    with pytest.raises(SystemExit) as left:
        console.run(EvalDownstreamConfig, eval_downstream.main, [str(word) for word in words])
    assert left.value.code in (None, 0)
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads((tmp_path / "eval_test.json").read_text())
    assert "as_json" not in said["config"] or said["config"]["as_json"]

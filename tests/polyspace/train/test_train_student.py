import json

import pytest
import torch

from polyspace.engine import checkpoint
from polyspace.errors import CheckpointError, ConfigError, StoppedError
from polyspace.models.student import StudentHead
from polyspace.train import eval_downstream, train_student
from polyspace.train.eval_downstream import EvalDownstreamConfig
from polyspace.train.train_student import StudentConfig
from tests.support.stages import finish


@pytest.fixture
def source(features):
    return {
        "dataset": "toy",
        "root": features,
        "student": "stu",
        "use_cached_features": True,
        "device": "cpu",
    }


@pytest.fixture
def trained(source, tmp_path):
    def train(**changes):
        settings = {"classes": 3, "epochs": 5, "rank": 4, "save_dir": tmp_path / "student"}
        return finish(train_student.run(StudentConfig.model_validate(source | settings | changes)))

    return train


@pytest.fixture
def score(source, tmp_path):
    def scored(**changes):
        settings = {"student_only": True, "save_dir": tmp_path / "scored"}
        config = EvalDownstreamConfig.model_validate(source | settings | changes)
        return json.loads(finish(eval_downstream.run(config)).read_text())

    return scored


@pytest.mark.parametrize("kind", ["linear", "self_residual"])
def test_a_head_is_trained_and_scored_on_other_clips(kind, trained, score):
    assert score(student_head=trained(head_kind=kind))["top1"] > 0.9


def test_any_backbone_can_be_probed_with_attention_at_several_paces(trained, score):
    settings = {"head": "attentive", "depth": 2, "lr_factors": (1.0, 0.3)}
    path = trained(student="look", **settings)
    assert checkpoint.load(path, "student")["scores"]["chosen"].startswith("rate ")
    assert score(student="look", student_head=path)["top1"] > 0.4


def test_the_checkpoint_holds_all_that_the_head_needs(trained, train):
    head = StudentHead.from_record(checkpoint.load(trained(), "student"))
    tokens = train.tokens("stu", train.rows(("stu",)))
    labels = torch.from_numpy(train.labels)
    assert (head(tokens).logits.argmax(1) == labels).double().mean() > 0.9


def test_training_starts_from_an_earlier_head(trained, tmp_path):
    first = trained()
    epoch0 = trained(resume_head=first, save_dir=tmp_path / "again", epochs=1, lr=1e-9)
    before, after = (checkpoint.load(path, "student") for path in (first, epoch0))
    for name, value in before["state"].items():
        torch.testing.assert_close(after["state"][name], value, rtol=1e-4, atol=1e-6)


def test_a_head_of_another_backbone_is_refused(trained, score):
    path = trained()
    with pytest.raises(ConfigError, match=r"head of stu, not of look: mend --student"):
        score(student="look", student_head=path)
    with pytest.raises(ConfigError, match="head of stu, not of look"):
        trained(student="look", resume_head=path)


def test_a_head_of_another_shape_is_refused(trained, tmp_path):
    path = trained()
    with pytest.raises(CheckpointError, match="of another shape"):
        trained(resume_head=path, classes=4, save_dir=tmp_path / "more")


def test_a_head_without_student_only_is_refused(score, tmp_path):
    with pytest.raises(ConfigError, match="--student_head is for --student_only"):
        score(student_only=False, student_head=tmp_path / "none.pt")


def test_an_interrupted_run_from_another_head_is_refused(trained, tmp_path):
    first, other = trained(), trained(save_dir=tmp_path / "other", seed=1)
    again = {"save_dir": tmp_path / "again", "epochs": 3}
    with pytest.raises(StoppedError):
        trained(**again, resume_head=first, max_minutes=1e-9)
    with pytest.raises(CheckpointError, match="an interrupted run with resume_head"):
        trained(**again, resume_head=other)

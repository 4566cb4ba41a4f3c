"""What a trained model says of the test split, kept clip by clip."""

import json

import numpy as np
import pytest
import torch

from polyspace.engine import checkpoint
from polyspace.errors import CheckpointError, ConfigError, StoreError
from polyspace.models.fusion import Distilled
from polyspace.train import ablation_score, train_student
from polyspace.train.ablation_score import ScoreConfig, first_views
from polyspace.train.train_student import StudentConfig
from tests.support.stores import make_store


@pytest.fixture
def config(features, converters, fusion, tmp_path):
    return ScoreConfig(
        features=features,
        dataset="toy",
        split="test",
        student="stu",
        converters=converters,
        head=fusion,
        device="cpu",
        out=tmp_path,
    )


@pytest.fixture
def scored(config, finish):
    """Score with some changes; give the record and the arrays."""

    def score(**changes):
        path = finish(ablation_score.run(config.model_copy(update=changes)))
        return json.loads(path.read_text()), dict(np.load(path.with_name("clips.npz")))

    return score


def test_every_clip_is_kept_with_what_the_model_itself_says(scored, test_clips, converters, fusion):
    record, clips = scored()
    assert clips["ids"].tolist() == list(test_clips.ids)
    assert clips["groups"].tolist() == list(test_clips.groups)
    model = Distilled.from_records(
        checkpoint.load(converters, "converters"), checkpoint.load(fusion, "fusion")
    )
    with torch.no_grad():
        said = model(test_clips.tokens("stu", np.arange(36))).logits.numpy()
    np.testing.assert_allclose(clips["logits"], said, atol=1e-5)
    assert record["top1"] == (said.argmax(1) == test_clips.labels).mean()
    assert record["parameters"] == sum(p.numel() for p in model.parameters())
    assert (record["evaluated"], record["clips"]) == (36, 36)


def test_a_hidden_teacher_changes_what_is_said(scored):
    whole, without = (scored(without=names)[1]["logits"] for names in ((), ("flow",)))
    assert not np.array_equal(whole, without)


def test_the_student_alone_is_scored_by_its_own_head(
    scored, features, finish, tmp_path, test_clips
):
    settings = StudentConfig(
        dataset="toy",
        root=features,
        student="stu",
        use_cached_features=True,
        classes=3,
        epochs=1,
        device="cpu",
        save_dir=tmp_path / "student",
    )
    head = finish(train_student.run(settings))
    record, clips = scored(converters=None, head=head)
    alone = train_student.load_head(head, "stu", test_clips)
    with torch.no_grad():
        said = alone(test_clips.tokens("stu", np.arange(36))).logits.numpy()
    np.testing.assert_allclose(clips["logits"], said, atol=1e-5)
    assert record["parameters"] == sum(p.numel() for p in alone.parameters())


def test_clips_that_nothing_is_known_of_are_counted(scored, tmp_path):
    make_store(tmp_path / "features", "test", clips=36, groups=9, quarantined=4)
    record, clips = scored(features=tmp_path / "features")
    assert (record["evaluated"], record["clips"], len(clips["ids"])) == (32, 36, 32)


def test_views_are_averaged_over_the_first_ones(scored, tmp_path):
    folder = tmp_path / "features"
    make_store(folder, "test", clips=36, groups=9, views=3)
    one, alone = scored(features=folder, views=1)[1], scored()[1]
    # The store's first views are those of a store of one view.
    np.testing.assert_allclose(one["logits"].argmax(1), alone["logits"].argmax(1))
    two = scored(features=folder, views=2)[1]
    assert two["ids"].tolist() == alone["ids"].tolist()
    chances = torch.from_numpy(two["logits"]).softmax(1)
    assert not np.allclose(chances, torch.from_numpy(alone["logits"]).softmax(1))


def test_first_views_are_those_of_each_clip():
    rows = np.array([0, 1, 2, 6, 7, 8])
    assert first_views(rows, 3, 2).tolist() == [0, 1, 6, 7]
    assert first_views(rows, 3, None).tolist() == rows.tolist()
    with pytest.raises(ConfigError, match="4 views, but the store has 3"):
        first_views(rows, 3, 4)


def test_features_of_other_weights_and_missing_models_are_refused(scored, tmp_path):
    make_store(tmp_path / "other", "test", fingerprints={"stu": "another"})
    with pytest.raises(StoreError, match="were trained on stu from"):
        scored(features=tmp_path / "other")
    with pytest.raises(CheckpointError):
        scored(head=tmp_path / "nowhere.pt")

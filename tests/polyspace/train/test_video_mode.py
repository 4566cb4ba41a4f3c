"""Straight from videos, or from features that were stored before: the same answers."""

import json

import pytest
import torch

from polyspace.data import featurize
from polyspace.data.featurize import FeaturizeConfig
from polyspace.engine import checkpoint
from polyspace.models.fusion import Distilled
from polyspace.train import eval_downstream, train_converter, train_fusion
from polyspace.train.eval_downstream import EvalDownstreamConfig
from polyspace.train.fusion_workload import predict, translated
from polyspace.train.sources import open_clips
from polyspace.train.train_converter import ConverterConfig
from polyspace.train.train_fusion import FusionConfig
from tests.support.ucf101 import make_ucf101

CPU = torch.device("cpu")
STUDENT, TEACHERS = "transnetv2", ("motion_vectors",)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return make_ucf101(tmp_path_factory.mktemp("videos"))


@pytest.fixture(scope="module")
def features(videos, tmp_path_factory, finish):
    out = tmp_path_factory.mktemp("features")
    settings = {"dataset": "ucf101", "root": videos, "out": out, "frames": 4, "workers": 1}
    names = {"student": STUDENT, "teachers": TEACHERS, "batch": 3}
    finish(featurize.run(FeaturizeConfig.model_validate(settings | names)))
    return out


@pytest.fixture(scope="module")
def converters(features, tmp_path_factory, finish):
    config = ConverterConfig(
        features=features,
        teachers=TEACHERS,
        save_dir=tmp_path_factory.mktemp("converters"),
        device="cpu",
        epochs=1,
        hidden=8,
    )
    return finish(train_converter.run(config))


@pytest.fixture(scope="module")
def settings_of(videos, features):
    """Settings that say where the student's features come from."""
    common = {"dataset": "ucf101", "root": videos, "student": STUDENT, "frames": 4, "workers": 1}
    cached = {"use_cached_features": True, "cached_features_path": features}
    return {"videos": common, "stored": common | cached}


@pytest.fixture(scope="module")
def fusions(settings_of, converters, tmp_path_factory, finish):
    """A fusion trained in either way."""

    def train(source):
        own = {
            "teachers": TEACHERS,
            "converters": converters,
            "classes": 2,
            "epochs": 2,
            "batch": 4,
            "device": "cpu",
            "save_dir": tmp_path_factory.mktemp(source),
        }
        return finish(train_fusion.run(FusionConfig.model_validate(settings_of[source] | own)))

    return {source: train(source) for source in settings_of}


def test_training_ends_in_the_same_fusion(fusions):
    states = [checkpoint.load(path, "fusion")["state"] for path in fusions.values()]

    for name, values in states[0].items():
        torch.testing.assert_close(values, states[1][name], rtol=1e-3, atol=1e-4)


def test_the_same_logits_come_out_within_the_rounding_of_float16(
    settings_of, fusions, converters, tmp_path, finish
):
    records = (
        checkpoint.load(converters, "converters"),
        checkpoint.load(fusions["stored"], "fusion"),
    )
    model = Distilled.from_records(*records)

    def logits(source):
        given = EvalDownstreamConfig.model_validate(settings_of[source])
        clips = finish(open_clips(given, split="test", device=CPU, scratch=tmp_path / source))
        inputs = translated(clips, model.translator)
        return predict(model.fusion, inputs, clips.rows((STUDENT,)), batch=4).logits

    torch.testing.assert_close(logits("videos"), logits("stored"), rtol=1e-3, atol=1e-3)


def test_the_same_scores_are_written(settings_of, fusions, converters, tmp_path, finish):
    def score(source):
        own = {
            "converters": converters,
            "fusion": fusions["stored"],
            "device": "cpu",
            "save_dir": tmp_path / source,
        }
        config = EvalDownstreamConfig.model_validate(settings_of[source] | own)
        record = json.loads(finish(eval_downstream.run(config)).read_text())
        return {name: record[name] for name in ("top1", "top5", "clips", "evaluated", "confusion")}

    assert score("videos") == score("stored")

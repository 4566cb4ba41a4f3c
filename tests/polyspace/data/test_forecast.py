from dataclasses import replace

import pytest
import torch

from polyspace.data import featurize, forecast
from polyspace.data.featurize import FeaturizeConfig
from polyspace.data.pace import Pace
from polyspace.errors import DatasetError
from tests.support.stages import finish
from tests.support.ucf101 import make_ucf101

CPU, GPU = torch.device("cpu"), torch.device("cuda")
PACE = Pace(decode=6.0, prepare={"a": 1.0}, backbone={"a": 4.0}, sampled=1, refused=())


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_ucf101(tmp_path_factory.mktemp("ucf101"))


def config(root, out, **changes):
    settings = {"student": "transnetv2", "teachers": ("motion_vectors",), "frames": 4, **changes}
    return FeaturizeConfig.model_validate(
        {"dataset": "ucf101", "root": root, "out": out, "workers": 0, **settings}
    )


def sizes(folder):
    return {f: f.stat().st_size for f in folder.rglob("*") if f.is_file()}


def test_nothing_is_written_and_features_then_take_what_was_said(root, tmp_path):
    asked = config(root, tmp_path / "out", spatial="full")
    found = finish(forecast.forecast(asked, sample=2))
    assert not asked.out.exists()
    assert [(split.split, split.clips) for split in found.splits] == [("train", 12), ("test", 4)]
    assert found.shapes["transnetv2"] == (4, 6, 12, 192)

    finish(featurize.run(asked))
    for name in ("transnetv2", "motion_vectors"):
        chunks = [size for f, size in sizes(asked.out).items() if f.match(f"*/{name}/c.*")]
        assert found.size("full", name) == sum(chunks)
        assert found.size("1", name) < found.size("2", name) < sum(chunks)
    assert found.fits
    assert found.seconds > 0


def test_what_a_store_holds_already_is_not_to_be_done(root, tmp_path):
    finish(featurize.run(config(root, tmp_path, teachers=())))
    found = finish(forecast.forecast(config(root, tmp_path), sample=1))
    assert [dict(split.missing) for split in found.splits] == [
        {"transnetv2": 0, "motion_vectors": 12},
        {"transnetv2": 0, "motion_vectors": 4},
    ]
    assert found.needed < found.size("2", "transnetv2")


def test_the_disk_of_another_forecast_may_be_too_small(root, tmp_path):
    found = finish(forecast.forecast(config(root, tmp_path), sample=1))
    smaller, endless = replace(found, free=found.needed - 1), replace(found, free=None)
    assert (smaller.fits, found.fits, endless.fits) == (False, True, True)


def test_a_demo_that_is_not_rendered_is_not_rendered_for_an_estimate(tmp_path):
    with pytest.raises(DatasetError, match="isn't rendered"):
        finish(forecast.forecast(config(tmp_path / "motion", tmp_path, dataset="motion"), sample=1))
    assert not (tmp_path / "motion").exists()


def test_without_processes_everything_takes_turns():
    assert forecast.seconds({"a": 10}, PACE, CPU, 0) == 10 * (6 + 1 + 4)


def test_on_a_gpu_the_slowest_step_decides(monkeypatch):
    monkeypatch.setattr(forecast, "cores", lambda: 8)
    assert forecast.seconds({"a": 10}, PACE, GPU, 1) == 60
    assert forecast.seconds({"a": 10}, PACE, GPU, 2) == 40
    # More processes than cores are no faster.
    monkeypatch.setattr(forecast, "cores", lambda: 1)
    assert forecast.seconds({"a": 10}, PACE, GPU, 2) == 60


def test_on_a_cpu_decoding_takes_its_share_of_the_cores(monkeypatch):
    monkeypatch.setattr(forecast, "cores", lambda: 7)
    assert forecast.seconds({"a": 10}, PACE, CPU, 2) == 40 + 70 / 7
    assert forecast.seconds({"a": 10}, PACE, CPU, 1) == 60


def test_clips_that_one_backbone_lacks_are_decoded_for_it_alone():
    both = Pace(6.0, {"a": 1.0, "b": 2.0}, {"a": 4.0, "b": 8.0}, 1, ())
    assert forecast.seconds({"a": 0, "b": 5}, both, CPU, 0) == 5 * (6 + 2 + 8)
    assert forecast.seconds({"a": 0, "b": 0}, both, CPU, 2) == 0

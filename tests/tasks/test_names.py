"""What runs are called."""

from pathlib import Path

import pytest

from polyspace.data.featurize import FeaturizeConfig
from polyspace.train.sweep import SweepConfig
from polyspace.train.train_converter import ConverterConfig
from polyspace.train.train_fusion import FusionConfig
from tasks import names

FOUR = ("motion_vectors", "efficientnet_lite0", "transnetv2", "videomae")


def fusion(**changes):
    given = {
        "dataset": "motion",
        "root": "features",
        "student": "transnetv2",
        "teachers": ("a", "b"),
        "converters": "converters.pt",
        "classes": 10,
    }
    return FusionConfig.model_validate(given | changes)


def test_a_name_says_stage_data_set_and_teachers():
    assert names.of("train_fusion", fusion()) == "train_fusion motion: a + b"


def test_many_teachers_are_counted():
    assert names.of("train_fusion", fusion(teachers=FOUR)) == "train_fusion motion: 4 teachers"


def test_settings_from_a_form_give_the_same_name_as_a_config():
    config = fusion()
    assert names.of("s", config.model_dump(mode="json")) == names.of("s", config)


def test_a_sweep_is_named_after_its_stage():
    sweep = SweepConfig(stage=fusion(), search=("lr=1e-4..1e-2:log",))
    assert names.of("sweep", sweep) == "sweep fusion motion: a + b"
    assert names.of("sweep", sweep.model_dump(mode="json")) == "sweep motion: a + b"


def test_without_a_data_set_the_only_stores_in_the_folder_name_it(tmp_path):
    config = ConverterConfig(features=tmp_path, teachers=("a",))
    assert names.of("train_converter", config) == "train_converter: a"
    for split in ("train", "test"):
        (tmp_path / f"my_clips_{split}.zarr").mkdir()
    assert names.of("train_converter", config) == "train_converter my_clips: a"
    one = ConverterConfig(features=tmp_path / "my_clips_train.zarr", teachers=("a",))
    assert names.of("train_converter", one) == "train_converter my_clips: a"
    (tmp_path / "other_train.zarr").mkdir()
    assert names.of("train_converter", config) == "train_converter: a"


@pytest.mark.parametrize("config", [None, {}, {"teachers": None}, {"features": "s3://b/f"}, 3])
def test_whatever_is_missing_is_left_out(config):
    assert names.of("stage", config) == "stage"


def test_a_task_is_named_by_its_config_or_by_its_parameters():
    extraction = FeaturizeConfig(dataset="motion", root=Path("videos"), teachers=("a",))
    assert names.TaskName("extract_features")({"config": extraction}) == (
        "extract_features motion: a"
    )
    assert names.TaskName("compare")({"runs": ("x", "y"), "out": "o"}) == "compare: x + y"

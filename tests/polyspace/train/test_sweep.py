"""What is swept, of which stage, and by what number it is judged."""

from pathlib import Path

import pytest

from polyspace.errors import ConfigError
from polyspace.train import sweep
from polyspace.train.sweep import FIXED, SweepConfig
from polyspace.train.train_fusion import FusionConfig
from tests.support.sweeps import converter_stage, fusion_stage

HERE = Path("here")


def sweep_of(stage, *search, **changes):
    return SweepConfig(stage=stage, search=search, **changes)


def test_a_trial_has_its_point_its_seed_and_a_folder_of_its_own(tmp_path):
    config = sweep_of(fusion_stage(tmp_path, seed=5), "rank=2,8", "lr=0.001..0.1")
    trial = config.trial({"rank": "8", "lr": 0.02}, seed=2, folder=HERE)
    assert isinstance(trial, FusionConfig)
    assert (trial.rank, trial.lr, trial.seed, trial.save_dir) == (8, 0.02, 7, HERE)
    assert trial.keep_best == 1
    assert trial.teachers == config.stage.teachers


@pytest.mark.parametrize("name", FIXED["fusion"])
def test_what_decides_what_is_scored_is_not_searched(name, tmp_path):
    with pytest.raises(ConfigError, match=f"--search {name} can't be searched: "):
        sweep_of(fusion_stage(tmp_path), f"{name}=1,2").space()


@pytest.mark.parametrize("name", FIXED["converter"])
def test_what_changes_what_is_explained_is_not_searched(name, tmp_path):
    with pytest.raises(ConfigError, match=f"--search {name} can't be searched: "):
        sweep_of(converter_stage(tmp_path), f"{name}=1,2").space()


def test_fixed_settings_are_settings(tmp_path):
    for stage in (fusion_stage(tmp_path), converter_stage(tmp_path)):
        assert FIXED[sweep_of(stage, "lr=1").stage_name].keys() <= type(stage).model_fields.keys()


def test_a_grid_takes_lists(tmp_path):
    with pytest.raises(ConfigError, match=r"a grid takes lists, lr=0\.1\.\.0\.2 is a range"):
        sweep_of(fusion_stage(tmp_path), "rank=1,2", "lr=0.1..0.2", method="grid").space()


def test_videos_are_not_swept_over(tmp_path):
    stage = fusion_stage(tmp_path, use_cached_features=False)
    with pytest.raises(ConfigError, match="give --use_cached_features"):
        sweep_of(stage, "rank=1,2").space()


def test_a_folder_for_checkpoints_has_no_use(tmp_path):
    with pytest.raises(ConfigError, match="trials lie under --out"):
        sweep_of(fusion_stage(tmp_path, save_dir=HERE), "rank=1,2").space()


def test_a_converters_score_is_the_mean_over_teachers(features, tmp_path, finish):
    stage = converter_stage(tmp_path, features=features, save_dir=tmp_path / "made")
    found = sweep.result(stage, finish(sweep.run(stage)))
    assert list(found.scores) == ["r2", "r2/flow", "r2/look"]
    assert found.scores["r2"] == (found.scores["r2/flow"] + found.scores["r2/look"]) / 2
    assert found.checkpoint == tmp_path / "made" / "converters.pt"


def test_a_fusions_score_is_top1_and_then_the_likelihood(
    features, converters, fusion_settings, tmp_path, finish
):
    stage = fusion_settings(features, converters, tmp_path)
    found = sweep.result(stage, finish(sweep.run(stage)))
    assert list(found.scores) == ["top1", "log_likelihood"]
    assert found.scores["top1"] > 1 / 3

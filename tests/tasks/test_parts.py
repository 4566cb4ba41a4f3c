from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from polyspace.data.featurize import FeaturizeConfig
from polyspace.errors import ConfigError
from tasks import parts


def test_without_a_server_it_is_said_what_to_start():
    with (
        temporary_settings(restore_defaults={PREFECT_API_URL}),
        pytest.raises(ConfigError, match=r"PREFECT_API_URL is not set.*make serve"),
    ):
        parts.refuse_unreachable()


def test_a_server_that_does_not_answer_is_named():
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}),
        pytest.raises(ConfigError, match=r"no Prefect server answers at http://127.0.0.1:1/api"),
    ):
        parts.refuse_unreachable()


def test_parts_get_paths_that_hold_in_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("weights").mkdir()
    config = FeaturizeConfig(
        dataset="ucf101",
        root=Path("videos"),
        out=Path("features"),
        weights=("vjepa2=weights", "vivit=random-tiny"),
        retry=True,
    )

    said = parts.for_workers(config, retry=False)

    assert (said["root"], said["out"]) == (str(tmp_path / "videos"), str(tmp_path / "features"))
    assert said["weights"] == [f"vjepa2={tmp_path / 'weights'}", "vivit=random-tiny"]
    assert said["retry"] is False
    assert FeaturizeConfig.model_validate(said).split == config.split

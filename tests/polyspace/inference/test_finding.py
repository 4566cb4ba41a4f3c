from pathlib import Path

import pytest

from polyspace.errors import CheckpointError, ConfigError
from polyspace.export.contents import SUMS
from polyspace.inference.finding import find


def put(folder):
    folder.mkdir(parents=True)
    (folder / SUMS).touch()
    return folder


def test_a_bundle_is_itself(tmp_path):
    bundle = put(tmp_path / "anything")
    assert find(bundle) == bundle
    assert find(str(bundle)) == bundle


@pytest.mark.parametrize("within", ["", "bundles", "artifacts"])
def test_of_a_runs_bundles_fp16_is_taken(tmp_path, within):
    for name in ("int8", "onnx", "fp32", "fp16"):
        put(tmp_path / within / name)
    assert find(tmp_path) == tmp_path / within / "fp16"


def test_without_fp16_the_order_is_that_of_the_formats(tmp_path):
    for name in ("onnx", "int8", "bf16"):
        put(tmp_path / "bundles" / name)
    assert find(tmp_path).name == "bf16"


def test_folders_of_other_names_are_not_guessed_at(tmp_path):
    put(tmp_path / "bundles" / "my_best")
    with pytest.raises(CheckpointError, match="holds no bundle: give a folder that"):
        find(tmp_path)


def test_a_place_that_is_not_there_is_said(tmp_path):
    with pytest.raises(CheckpointError, match=r"nowhere is not there: give a folder that"):
        find(tmp_path / "nowhere")


def test_files_are_answered_with_what_to_give(tmp_path):
    bundle = put(tmp_path / "fp16")
    with pytest.raises(CheckpointError, match=r"is a file: give the bundle's folder, .*fp16"):
        find(bundle / SUMS)
    weights = tmp_path / "stage2_best.pt"
    weights.touch()
    with pytest.raises(CheckpointError, match=r"load_model_auto\(path, model="):
        find(weights)


@pytest.mark.parametrize("address", ["models:/motion@champion", "runs:/abc/fp16"])
@pytest.mark.parametrize("kind", [str, Path])
def test_addresses_of_mlflow_are_answered_with_its_own_command(address, kind):
    words = f"`mlflow artifacts download --artifact-uri {address} --dst-path FOLDER`"
    with pytest.raises(ConfigError, match="address of MLflow") as refused:
        find(kind(address))
    assert words in str(refused.value)


def test_other_addresses_are_not_fetched():
    with pytest.raises(ConfigError, match="copy the bundle to this machine"):
        find("s3://models/fp16")

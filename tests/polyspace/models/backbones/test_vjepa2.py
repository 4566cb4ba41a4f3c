import pytest
import torch

from polyspace.errors import ConfigError
from polyspace.models.backbones import registry

CPU = torch.device("cpu")
TINY = {"vjepa2": "random-tiny"}


@pytest.mark.parametrize(("asked", "frames", "time"), [(None, 8, 4), (4, 4, 2), (16, 16, 8)])
def test_any_count_of_whole_tubelets_will_do(asked, frames, time):
    backbone = registry.load("vjepa2", weights=TINY, frames=asked, device=CPU)
    assert (backbone.inputs.frames, backbone.grid.time) == (frames, time)
    tokens = backbone.forward(torch.rand(1, frames, 3, 64, 64)).tokens
    assert tokens.shape == (1, time, 16, 48)


def test_half_a_tubelet_is_refused():
    with pytest.raises(ConfigError, match=r"can't take 15 frames.*a multiple of 2"):
        registry.load("vjepa2", weights=TINY, frames=15, device=CPU)


def test_tokens_are_the_librarys_vision_features(loaded):
    backbone = loaded("vjepa2")
    clips = torch.rand(2, 8, 3, 64, 64)
    with torch.no_grad():
        expected = backbone.network.get_vision_features(clips)
    features = backbone.forward(clips)
    assert torch.equal(features.tokens.flatten(1, 2), expected)
    assert torch.equal(features.summary, features.tokens.mean(dim=(1, 2)))


def test_the_predictor_is_not_run(loaded, monkeypatch):
    backbone = loaded("vjepa2")
    monkeypatch.setattr(backbone.network.predictor, "forward", pytest.fail)
    backbone.forward(torch.rand(1, 8, 3, 64, 64))

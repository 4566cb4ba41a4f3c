import pytest
import torch

from polyspace.errors import ConfigError
from polyspace.models.backbones import registry

CPU = torch.device("cpu")


def test_a_token_is_the_four_channels_of_its_cell():
    backbone = registry.load("motion_vectors", weights={}, frames=2, device=CPU)
    field = torch.arange(2 * 4 * 16.0).reshape(1, 2, 4, 4, 4)
    features = backbone.forward(field)
    assert features.tokens[0, 1, 6].tolist() == field[0, 1, :, 1, 2].tolist()
    assert torch.equal(features.summary, field.mean(dim=(1, 3, 4)))


def test_it_wants_the_codecs_field_as_it_is():
    spec = registry.load("motion_vectors", weights={}, frames=None, device=CPU).inputs
    assert (spec.kind, spec.frames, spec.height, spec.width) == ("motion", 16, 4, 4)
    assert (spec.mean, spec.std, spec.scale) == ((0.0,) * 4, (1.0,) * 4, 1.0)


def test_its_fingerprint_is_that_of_its_settings():
    def fingerprint(frames):
        load = registry.load("motion_vectors", weights={}, frames=frames, device=CPU)
        return load.weights.fingerprint

    assert fingerprint(16) == fingerprint(None) != fingerprint(8)


def test_weights_for_it_are_refused():
    with pytest.raises(ConfigError, match="motion_vectors has no weights"):
        registry.load("motion_vectors", weights={"motion_vectors": "x"}, frames=None, device=CPU)

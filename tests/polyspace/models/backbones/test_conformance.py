"""What every registered backbone must do, whatever is inside."""

import numpy as np
import pytest
import torch
from torch import nn

from polyspace.data.preprocess import normalise, prepare
from polyspace.models.backbones import registry
from polyspace.models.backbones.protocol import Backbone
from tests.support.clips import whole

RANDOM = {"vjepa2", "videomae", "timesformer", "vivit"}


@pytest.fixture(params=registry.NAMES)
def backbone(request, loaded) -> Backbone:
    return loaded(request.param)


@pytest.fixture
def clips(backbone):
    """Two clips of noise, as the backbone wants them."""
    spec = backbone.inputs
    shape = (2, spec.frames, spec.channels, spec.height, spec.width)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def modules(backbone):
    return [value for value in vars(backbone).values() if isinstance(value, nn.Module)]


def test_features_lie_on_the_grid_that_was_announced(backbone, clips):
    features = backbone.forward(clips)
    grid = backbone.grid
    assert features.tokens.shape == (2, grid.time, grid.space, backbone.dim)
    assert features.summary.shape == (2, backbone.dim)
    assert features.tokens.dtype == features.summary.dtype == torch.float32
    assert torch.isfinite(features.tokens).all()
    assert features.tokens.std() > 0


def test_it_knows_its_own_name(backbone):
    assert isinstance(backbone, Backbone)
    assert backbone.name in registry.NAMES
    assert type(backbone).__module__.startswith("polyspace.models.backbones.")


def test_the_same_clips_give_the_same_bits(backbone, clips):
    first, second = backbone.forward(clips), backbone.forward(clips)
    assert torch.equal(first.tokens, second.tokens)
    assert torch.equal(first.summary, second.summary)


def test_a_clip_does_not_see_its_batch_mates(backbone, clips):
    together = backbone.forward(clips)
    alone = backbone.forward(clips[1:])
    scale = together.tokens.abs().max()
    assert (together.tokens[1:] - alone.tokens).abs().max() <= 1e-5 * scale
    assert (together.summary[1:] - alone.summary).abs().max() <= 1e-5 * scale


def test_nothing_can_be_trained(backbone, clips):
    with torch.enable_grad():
        features = backbone.forward(clips.requires_grad_())
    assert not features.tokens.requires_grad
    assert not features.summary.requires_grad
    for network in modules(backbone):
        assert not any(module.training for module in network.modules())
        assert not any(weight.requires_grad for weight in network.parameters())


def test_features_are_float32_and_close_under_autocast(backbone, clips):
    exact = backbone.forward(clips[:1])
    with torch.autocast("cpu", torch.bfloat16):
        rough = backbone.forward(clips[:1])
    assert rough.tokens.dtype == rough.summary.dtype == torch.float32
    cosine = torch.cosine_similarity(exact.tokens.flatten(), rough.tokens.flatten(), dim=0)
    assert cosine > 0.99


def test_a_token_looks_at_its_own_place_in_the_canonical_order(backbone, clips):
    """Repaint one cell at one time: the token that changes most is its own, or next to it.

    High on the right and early in the clip, so that no other order of the axes comes near.
    """
    grid, spec = backbone.grid, backbone.inputs
    time, row, column = grid.time // 4, grid.height // 4, 3 * grid.width // 4
    still = torch.zeros_like(clips[:1])
    touched = still.clone()
    frames = span(time, grid.time, spec.frames)
    rows, columns = span(row, grid.height, spec.height), span(column, grid.width, spec.width)
    touched[:, frames, :, rows, columns] = 1.0
    change = (backbone.forward(touched).tokens - backbone.forward(still).tokens).norm(dim=-1)[0]
    found_time, place = divmod(int(change.argmax()), grid.space)
    found_row, found_column = divmod(place, grid.width)
    assert found_time == time
    assert abs(found_row - row) <= 1
    assert abs(found_column - column) <= 1


def test_provenance_says_what_the_weights_are(backbone, loaded):
    weights = backbone.weights
    assert len(bytes.fromhex(weights.fingerprint)) == 32
    assert weights.source
    assert weights.random == (backbone.name in RANDOM)
    given = {backbone.name: "random-tiny"} if weights.random else {}
    again = registry.load(backbone.name, weights=given, frames=8, device=torch.device("cpu"))
    assert again.weights == weights


def test_a_decoded_clip_can_be_prepared_for_it(backbone):
    noise = np.random.default_rng(0)
    clip = whole(
        frames=noise.integers(0, 256, (20, 90, 160, 3), np.uint8),
        seconds=np.arange(20) / 10,
        duration_seconds=2.0,
        motion=noise.random((16, 4, 6, 10), np.float32),
    )
    inputs = normalise(prepare(clip, backbone.inputs), backbone.inputs)
    assert torch.isfinite(backbone.forward(inputs[None]).tokens).all()


def span(index, cells, size):
    """The pixels of one cell out of several."""
    return slice(index * size // cells, (index + 1) * size // cells)

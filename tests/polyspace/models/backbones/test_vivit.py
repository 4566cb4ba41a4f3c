import torch

from polyspace.models.backbones import registry


def test_tokens_and_class_token_are_the_librarys(loaded):
    backbone = loaded("vivit")
    clips = torch.rand(2, 8, 3, 64, 64)
    with torch.no_grad():
        hidden = backbone.network(pixel_values=clips).last_hidden_state
    features = backbone.forward(clips)
    assert torch.equal(features.summary, hidden[:, 0])
    assert torch.equal(features.tokens.flatten(1, 2), hidden[:, 1:])


def test_it_takes_its_own_count_of_frames_whatever_is_asked():
    given = {"vivit": "random-tiny"}
    backbone = registry.load("vivit", weights=given, frames=16, device=torch.device("cpu"))
    assert (backbone.inputs.frames, backbone.grid.time) == (8, 4)

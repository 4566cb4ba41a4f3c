import torch

from polyspace.models.backbones import registry


def test_tokens_are_the_librarys_reordered_from_row_column_time(loaded):
    backbone = loaded("timesformer")
    clips = torch.rand(2, 8, 3, 64, 64)
    with torch.no_grad():
        hidden = backbone.network(pixel_values=clips).last_hidden_state
    features = backbone.forward(clips)
    assert torch.equal(features.summary, hidden[:, 0])
    theirs = hidden[:, 1:].reshape(2, 4, 4, 8, 48)
    ours = features.tokens.reshape(2, 8, 4, 4, 48)
    assert torch.equal(ours, theirs.permute(0, 3, 1, 2, 4))


def test_it_takes_its_own_count_of_frames_whatever_is_asked():
    given = {"timesformer": "random-tiny"}
    backbone = registry.load("timesformer", weights=given, frames=32, device=torch.device("cpu"))
    assert (backbone.inputs.frames, backbone.grid.time) == (8, 8)

import pytest
import torch
from torch import nn

from polyspace.models.attention import (
    Answer,
    Attention,
    Embedding,
    coordinates,
    heads_of,
)
from polyspace.models.grids import TokenShape


@pytest.mark.parametrize(
    ("width", "heads"), [(1, 1), (16, 1), (32, 1), (64, 2), (100, 2), (256, 8), (97, 1)]
)
def test_heads_divide_the_width(width, heads):
    assert heads_of(width) == heads


def test_attention_is_torchs():
    torch.manual_seed(0)
    ours, theirs = Attention(64), nn.MultiheadAttention(64, 2, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.ask.weight, ours.offer.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.ask.bias, ours.offer.bias]))
        theirs.out_proj.load_state_dict(ours.merge.state_dict())
    tokens, others = torch.randn(3, 5, 64), torch.randn(3, 7, 64)
    expected, _ = theirs(tokens, others, others)
    torch.testing.assert_close(ours(tokens, others), expected, rtol=1e-4, atol=1e-5)


def test_the_same_moment_and_place_have_the_same_coordinates_on_every_grid():
    fine, coarse = (coordinates(TokenShape(time, 4, 1)) for time in (9, 3))
    # The middle of the second of three cells is the middle of the fifth of nine.
    torch.testing.assert_close(fine.view(9, 4, -1)[4], coarse.view(3, 4, -1)[1])


def test_no_two_cells_have_the_same_coordinates():
    found = coordinates(TokenShape(16, 16, 1))
    distances = torch.pdist(found)
    assert found.shape[0] == 256
    assert distances.min() > 0.05


def test_coordinates_are_no_weights_and_no_state():
    embedding = Embedding(TokenShape(2, 4, 6), 8)
    assert not any("where" in name for name in embedding.state_dict())


def test_an_answer_says_nothing_before_it_has_learned_something():
    torch.manual_seed(0)
    answer = Answer(8, TokenShape(2, 4, 5))
    tokens = torch.randn(3, 8, 8)
    assert torch.equal(answer(tokens), torch.zeros(3, 2, 4, 5))
    answer(tokens).sum().backward()
    assert answer.out.weight.grad is not None
    assert answer.out.weight.grad.any()

import torch
from torch import nn

from polyspace.models.restore import restore
from polyspace.models.undrawn import DRAWS, Undrawn
from tests.support.exported import drawn


def test_weights_are_not_drawn():
    before = torch.random.get_rng_state()
    with Undrawn():
        layer = nn.Linear(512, 512)
        nn.Conv2d(3, 4, 5)
        nn.Embedding(7, 3)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert layer.weight.shape == (512, 512)
    assert layer.weight.requires_grad


def test_draws_return_what_they_were_given():
    with Undrawn():
        for draw in DRAWS:
            values = torch.ones(3, 3)
            assert draw(values) is values
            assert draw(tensor=values) is values
            assert torch.equal(values, torch.ones(3, 3))


def test_everything_else_goes_on():
    with Undrawn():
        made = nn.LayerNorm(4).weight, torch.zeros(3), torch.arange(3)
    assert [values.tolist() for values in made] == [[1] * 4, [0] * 3, [0, 1, 2]]


def test_outside_weights_are_drawn_again():
    with Undrawn():
        pass
    torch.manual_seed(0)
    first = nn.Linear(9, 9).weight
    torch.manual_seed(1)
    assert not torch.equal(first, nn.Linear(9, 9).weight)


def test_a_model_made_so_and_filled_is_the_model():
    model = drawn(trunk=4)
    with Undrawn():
        again = type(model).from_specs(model.specs())
    restore(again, model.state_dict()).eval()
    tokens = torch.randn(3, 4, 4, 6)
    assert torch.equal(again(tokens).logits, model(tokens).logits)

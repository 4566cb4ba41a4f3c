import pytest
import torch
from torch import nn

from polyspace.engine.average import Average


@pytest.fixture
def model():
    made = nn.Linear(2, 1)
    with torch.no_grad():
        for weight in made.parameters():
            weight.zero_()
    return made


def move(model, value):
    with torch.no_grad():
        for weight in model.parameters():
            weight.fill_(value)


def test_the_first_updates_keep_less_of_the_old(model):
    average = Average(model, 0.9)
    move(model, 1.0)
    average.update()
    assert average.state_dict()["values"]["bias"].item() == pytest.approx(0.9)
    average.update()
    assert average.state_dict()["values"]["bias"].item() == pytest.approx(1 - 0.1 * 2 / 11)


def test_once_warm_it_keeps_the_decay(model):
    average = Average(model, 0.5)
    for _ in range(20):
        average.update()
    move(model, 1.0)
    average.update()
    assert average.state_dict()["values"]["bias"].item() == pytest.approx(0.5)


def test_weights_and_average_change_places_and_back(model):
    average = Average(model, 0.5)
    move(model, 1.0)
    parameter = model.weight
    with average.swapped():
        assert model.weight.sum().item() == 0
        with average.aside():
            assert model.weight.sum().item() == 2
        assert model.weight.sum().item() == 0
    assert model.weight.sum().item() == 2
    assert model.weight is parameter


def test_they_change_back_when_the_block_fails(model):
    average = Average(model, 0.5)
    move(model, 1.0)
    with pytest.raises(KeyError), average.swapped():
        raise KeyError
    assert model.weight.sum().item() == 2


def test_what_is_not_trained_is_not_averaged(model):
    model.bias.requires_grad_(False)
    assert list(Average(model, 0.5).state_dict()["values"]) == ["weight"]


def test_it_goes_on_where_another_one_was(model):
    first, second = Average(model, 0.9), Average(model, 0.9)
    move(model, 1.0)
    first.update()
    second.load_state_dict(first.state_dict())
    for average in (first, second):
        average.update()
    one, other = (average.state_dict() for average in (first, second))
    assert one["updates"] == other["updates"] == 2
    assert all(torch.equal(one["values"][name], other["values"][name]) for name in one["values"])

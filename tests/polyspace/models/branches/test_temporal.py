import torch
from torch import nn

from polyspace.models.branches.temporal import TemporalTransformer
from polyspace.models.grids import TokenShape


def test_places_never_mix_and_all_times_do():
    shape = TokenShape(4, 4, 3)
    branch = TemporalTransformer(shape, shape, 16).eval()
    nn.init.normal_(branch.answer.out.weight)
    tokens = torch.randn(1, 4, 4, 3)
    changed = tokens.clone()
    changed[0, 1, 2] += 1
    moved = ((branch(changed) - branch(tokens)).abs().sum(-1) > 1e-7)[0]
    expected = torch.zeros(4, 4, dtype=torch.bool)
    expected[:, 2] = True
    assert torch.equal(moved, expected)


def test_the_order_in_time_matters():
    source, target = TokenShape(4, 1, 3), TokenShape(1, 1, 3)
    branch = TemporalTransformer(source, target, 16).eval()
    nn.init.normal_(branch.answer.out.weight)
    tokens = torch.randn(1, 4, 1, 3)
    assert not torch.allclose(branch(tokens), branch(tokens.flip(1)), atol=1e-4)

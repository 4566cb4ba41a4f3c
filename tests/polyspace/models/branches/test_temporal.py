import torch
from torch import nn

from polyspace.models.branches.temporal import TemporalTransformer
from polyspace.models.grids import TokenShape


def test_places_never_mix_and_all_times_do():
    torch.manual_seed(0)
    shape = TokenShape(4, 4, 3)
    branch = TemporalTransformer(shape, shape, 16).eval()
    nn.init.normal_(branch.answer.out.weight)
    tokens = torch.randn(1, 4, 4, 3)
    changed = tokens.clone()
    changed[0, 1, 2] = torch.tensor([3.0, -1.0, 0.5])
    moved = (branch(changed) != branch(tokens)).any(-1)[0]
    expected = torch.zeros(4, 4, dtype=torch.bool)
    expected[:, 2] = True
    assert torch.equal(moved, expected)


def test_the_order_in_time_matters():
    torch.manual_seed(0)
    source, target = TokenShape(4, 1, 3), TokenShape(1, 1, 3)
    branch = TemporalTransformer(source, target, 16).eval()
    nn.init.normal_(branch.answer.out.weight)
    tokens = torch.randn(1, 4, 1, 3)
    assert not torch.allclose(branch(tokens), branch(tokens.flip(1)), atol=1e-4)

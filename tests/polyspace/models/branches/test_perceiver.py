import torch
from torch import nn

from polyspace.models.branches.perceiver import Perceiver
from polyspace.models.grids import TokenShape


def test_every_place_of_the_teachers_grid_sees_all_of_the_clip():
    torch.manual_seed(0)
    branch = Perceiver(TokenShape(4, 4, 3), TokenShape(2, 4, 5), 16).eval()
    nn.init.normal_(branch.answer.out.weight)
    for weights in branch.tell.attend.parameters():
        nn.init.normal_(weights)
    tokens = torch.randn(1, 4, 4, 3)
    changed = tokens.clone()
    changed[0, 0, 0] *= -3
    assert ((branch(changed) - branch(tokens)).abs().sum(-1) > 0).all()


def test_its_size_does_not_grow_with_the_grids():
    small, large = (
        Perceiver(TokenShape(time, 4, 3), TokenShape(time, 4, 5), 16) for time in (2, 32)
    )
    sizes = [sum(w.numel() for w in branch.parameters()) for branch in (small, large)]
    assert sizes[0] == sizes[1]

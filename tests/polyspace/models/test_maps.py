import torch

from polyspace.models.closed_form import Affine
from polyspace.models.maps import LowRankMap


def affine(rank):
    draw = torch.Generator().manual_seed(0)
    left, right = torch.randn(6, rank, generator=draw), torch.randn(rank, 4, generator=draw)
    return Affine((left @ right).double(), torch.arange(4).double())


def test_a_low_rank_map_takes_a_solution_of_its_rank_over_exactly():
    fit, tokens = affine(2), torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    low = LowRankMap(6, 4, rank=2)
    low.start_at(fit)
    expected = (tokens.double() @ fit.weight + fit.bias).float()
    torch.testing.assert_close(low(tokens), expected, rtol=1e-5, atol=1e-5)


def test_a_low_rank_map_keeps_the_strongest_part_of_what_does_not_fit():
    fit = affine(4)
    low = LowRankMap(6, 4, rank=2)
    low.start_at(fit)
    left, strengths, right = torch.linalg.svd(fit.weight, full_matrices=False)
    best = (left[:, :2] * strengths[:2]) @ right[:2]
    torch.testing.assert_close((low.up.weight @ low.down.weight).T, best.float())


def test_a_low_rank_map_is_smaller_than_a_linear_one():
    low = LowRankMap(600, 400, rank=8)
    assert sum(weights.numel() for weights in low.parameters()) == 8 * 1000 + 400

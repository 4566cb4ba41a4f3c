import torch
from torch import nn

from polyspace.models.branches.convolution import RunningNorm, SeparableConvolution
from polyspace.models.grids import TokenShape


def maps(clips=6, *, seed=0):
    return 3 * torch.randn(clips, 4, 2, 3, 3, generator=torch.Generator().manual_seed(seed)) + 1


def test_in_training_it_is_torchs_batch_normalisation():
    ours, theirs = RunningNorm(4).train(), nn.BatchNorm3d(4).train()
    torch.testing.assert_close(ours(maps()), theirs(maps()), rtol=1e-4, atol=1e-5)


def test_what_is_remembered_is_the_mean_of_what_was_seen():
    norm = RunningNorm(4).train()
    batches = [maps(seed=seed) for seed in range(5)]
    for batch in batches:
        norm(batch)
    means = torch.stack([batch.mean((0, 2, 3, 4)) for batch in batches]).mean(0)
    spreads = torch.stack([batch.var((0, 2, 3, 4), correction=0) for batch in batches]).mean(0)
    torch.testing.assert_close(norm.mean, means)
    torch.testing.assert_close(norm.variance, spreads)


def test_after_ten_batches_the_old_ones_are_forgotten():
    norm = RunningNorm(4).train()
    for _ in range(10):
        norm(maps())
    for _ in range(60):
        norm(maps(seed=1))
    new = maps(seed=1).mean((0, 2, 3, 4))
    torch.testing.assert_close(norm.mean, new, rtol=0, atol=0.01)


def test_afterwards_nothing_is_remembered_and_nobody_else_matters():
    norm = RunningNorm(4).train()
    norm(maps())
    norm.eval()
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    together = norm(maps(seed=2))
    torch.testing.assert_close(norm(maps(seed=2)[:1]), together[:1])
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())


def test_a_batch_that_overflowed_leaves_no_trace():
    norm = RunningNorm(4).train()
    norm(maps())
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    spoiled = maps(seed=1)
    spoiled[0, 0, 0, 0, 0] = torch.inf
    norm(spoiled)
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())


def test_filters_see_neighbours_in_time_and_picture_and_nothing_beyond():
    torch.manual_seed(0)
    shape = TokenShape(16, 49, 3)
    branch = SeparableConvolution(shape, shape, 8).eval()
    nn.init.normal_(branch.answer.out.weight)
    tokens = torch.randn(1, 16, 49, 3)
    changed = tokens.clone()
    changed[0, 8, 24] = torch.tensor([3.0, -1.0, 0.5])  # the middle of the picture
    moved = (branch(changed) != branch(tokens)).any(-1)[0].view(16, 7, 7)
    seen = moved.nonzero()
    assert seen.min(0).values.tolist() == [4, 1, 1]  # two blocks reach twice 2, 1 and 1
    assert seen.max(0).values.tolist() == [12, 5, 5]

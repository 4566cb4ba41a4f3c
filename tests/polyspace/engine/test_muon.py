import torch
from torch import nn

from polyspace.engine.muon import MuonBesideAdamW
from polyspace.engine.optimizer import Part, make


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(3, 8, 3), nn.Flatten(), nn.Linear(32, 16), nn.Linear(16, 2))


def descend(trained, optimizer, *, steps, seed=0):
    draw = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        optimizer.zero_grad()
        trained(torch.randn(8, 3, 6, generator=draw)).square().mean().backward()
        optimizer.step()


def of(trained):
    return make("muon", [Part(trained, 0.1)], lr=0.01)


def test_steps_of_matrices_are_orthogonal_and_others_adamws():
    trained, alike = model(), model()
    before = {name: p.detach().clone() for name, p in trained.named_parameters()}
    for own, other in zip(trained.parameters(), alike.parameters(), strict=True):
        own.grad = other.grad = torch.randn(own.shape, generator=torch.Generator().manual_seed(0))
    of(trained).step()
    make("adamw", [Part(alike, 0.1)], lr=0.01).step()
    matrix = trained.get_parameter("2.weight").detach() - before["2.weight"] * (1 - 0.01 * 0.1)
    # 0.2 * sqrt(32) * lr, as far as Newton and Schulz get in five rounds.
    strengths = torch.linalg.svdvals(matrix) / (0.2 * 32**0.5 * 0.01)
    assert 0.6 < strengths.min() <= strengths.max() < 1.3
    for name in ("0.weight", "0.bias", "2.bias"):
        assert torch.equal(trained.get_parameter(name), alike.get_parameter(name)), name


def test_a_rate_that_is_set_from_outside_is_what_both_take():
    trained = model()
    optimizer = of(trained)
    before = {name: p.detach().clone() for name, p in trained.named_parameters()}
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    descend(trained, optimizer, steps=1)
    assert all(torch.equal(p, before[name]) for name, p in trained.named_parameters())


def test_a_state_is_gone_on_with_bit_by_bit(tmp_path):
    whole, first, second = model(), model(), model()
    descend(whole, descending := of(whole), steps=3)
    descend(whole, descending, steps=3, seed=1)
    descend(first, stopped := of(first), steps=3)
    torch.save({"model": first.state_dict(), "own": stopped.state_dict()}, tmp_path / "a.pt")
    state = torch.load(tmp_path / "a.pt", weights_only=True)
    second.load_state_dict(state["model"])
    taken_up = of(second)
    taken_up.load_state_dict(state["own"])
    descend(second, taken_up, steps=3, seed=1)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_models_without_matrices_or_with_nothing_else_are_fine():
    for trained in (nn.LayerNorm(4), nn.Linear(4, 4, bias=False)):
        optimizer = of(trained)
        assert isinstance(optimizer, MuonBesideAdamW)
        optimizer.zero_grad()
        trained(torch.randn(2, 4)).square().sum().backward()
        optimizer.step()

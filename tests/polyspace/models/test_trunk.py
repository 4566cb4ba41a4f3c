import torch
from torch import nn

from polyspace.models.trunk import BLOCKS, Block, Trunk


def tokens():
    return torch.randn(5, 4, 3, 6, generator=torch.Generator().manual_seed(0))


def shaken():
    """Make a trunk whose every weight counts."""
    trunk = Trunk(6, 8)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weights in trunk.parameters():
            weights.copy_(torch.randn(weights.shape, generator=draw))
    return trunk


def test_an_untrained_trunk_is_the_identity_to_the_last_bit():
    assert torch.equal(Trunk(6, 8)(tokens()), tokens())


def test_it_can_learn_although_it_starts_at_zero():
    trunk = Trunk(6, 8)
    trunk(tokens()).square().sum().backward()
    gradients = [trunk.get_parameter(f"blocks.{block}.down.weight").grad for block in range(BLOCKS)]
    assert all(gradient is not None and gradient.any() for gradient in gradients)


def test_each_token_is_taken_by_itself():
    trunk, changed = shaken(), tokens()
    changed[1, 2, 0] += 1
    moved = (trunk(changed) != trunk(tokens())).any(-1)
    assert moved.nonzero().tolist() == [[1, 2, 0]]


def test_the_first_block_says_what_its_formula_does():
    block, given = shaken().blocks[0], tokens()
    assert isinstance(block, Block)
    norm = torch.nn.functional.layer_norm(given, (6,), block.norm.weight, block.norm.bias)
    inside = torch.nn.functional.gelu(norm @ block.up.weight.T + block.up.bias)
    expected = given + inside @ block.down.weight.T + block.down.bias
    torch.testing.assert_close(block(given), expected)


def test_linear_maps_behind_one_trunk_learn_what_no_linear_map_can():
    assert min(unexplained(nn.Identity())) > 0.9
    assert max(unexplained(Trunk(6, 32))) < 0.6


def unexplained(trunk: nn.Module) -> list[float]:
    """Train two linear maps behind a trunk; give the shares of variance that they leave over."""
    torch.manual_seed(0)
    given = torch.randn(2000, 6)
    targets = (given[:, :3].abs(), given[:, 2:5].abs())
    maps = (nn.Linear(6, 3), nn.Linear(6, 3))
    optimizer = torch.optim.Adam(nn.ModuleList([trunk, *maps]).parameters(), lr=1e-2)

    def errors():
        return [
            nn.functional.mse_loss(one(trunk(given)), target) / target.var()
            for one, target in zip(maps, targets, strict=True)
        ]

    for _ in range(200):
        optimizer.zero_grad()
        torch.stack(errors()).sum().backward()
        optimizer.step()
    with torch.no_grad():
        return [error.item() for error in errors()]

import torch

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

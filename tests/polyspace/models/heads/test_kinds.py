"""What every classifier must be able to do."""

from typing import Any, get_args

import pytest
import torch
from torch.nn import functional

from polyspace.models.grids import TokenShape
from polyspace.models.heads import kinds
from polyspace.models.heads.attending import MeanAttentionHead
from polyspace.models.heads.kinds import HeadKind

SHAPE = TokenShape(4, 4, 6)
WEIGHTS = torch.randn(6, 3, generator=torch.Generator().manual_seed(5))


def tokens(clips=5, *, seed=0):
    return torch.randn(clips, 4, 4, 6, generator=torch.Generator().manual_seed(seed))


def made(kind, *, shaken=False, **settings):
    torch.manual_seed(0)
    options: dict[str, Any] = {"classes": 3, "dropout": 0.0, "hidden": 0, "depth": 2}
    head = kinds.make(kind, SHAPE, **options | settings).eval()
    for parameter in head.parameters() if shaken else ():
        torch.nn.init.normal_(parameter, std=0.3)
    return head


@pytest.mark.parametrize("hidden", [0, 8])
@pytest.mark.parametrize("kind", get_args(HeadKind))
class TestEveryHead:
    def test_it_has_no_opinion_at_first(self, kind, hidden):
        assert torch.equal(made(kind, hidden=hidden)(tokens()), torch.zeros(5, 3))

    def test_it_learns_a_known_linear_map_of_the_mean_token(self, kind, hidden):
        head = made(kind, hidden=hidden).train()
        optimizer = torch.optim.Adam(head.parameters(), lr=0.01)

        def error(seed):
            clips = tokens(64, seed=seed)
            return (head(clips) - clips.mean((1, 2)) @ WEIGHTS).square().mean()

        before = float(error(1).detach())
        for step in range(200):
            optimizer.zero_grad()
            error(100 + step).backward()
            optimizer.step()
        assert float(error(1).detach()) < 0.3 * before

    def test_batch_mates_do_not_change_what_it_says(self, kind, hidden):
        head = made(kind, shaken=True, hidden=hidden)
        alone = torch.cat([head(clip[None]) for clip in tokens()])
        torch.testing.assert_close(alone, head(tokens()), rtol=1e-4, atol=1e-5)

    def test_bfloat16_agrees_with_float32(self, kind, hidden):
        head = made(kind, shaken=True, hidden=hidden)
        with torch.no_grad():
            exact = head(tokens())
            with torch.autocast("cpu", dtype=torch.bfloat16):
                rounded = head(tokens()).float()
        assert float((rounded - exact).norm() / exact.norm()) < 0.03

    def test_it_drops_inputs_in_training_only(self, kind, hidden):
        head = made(kind, shaken=True, hidden=hidden, dropout=0.5)
        assert torch.equal(head(tokens()), head(tokens()))
        head.train()
        assert not torch.equal(head(tokens()), head(tokens()))


def test_depth_counts_the_blocks_of_an_attentive_head():
    def count(depth):
        return sum(p.numel() for p in made("attentive", depth=depth).parameters())

    assert count(3) - count(2) == count(2) - count(1) > 0


def test_mean_attention_of_known_weights():
    head = MeanAttentionHead(SHAPE, classes=6, dropout=0.0).eval()
    torch.nn.init.eye_(head.linear.weight)
    clips, query = tokens(2), torch.tensor([3.0, 0, 0, 0, 0, 4.0])
    with torch.no_grad():
        head.query.copy_(query)
        head.sharpness.fill_(1.0)
        flat = clips.flatten(1, 2)
        weights = (flat @ (query / 5) * torch.e).softmax(1)
        share = 1 / (1 + torch.tensor(-0.5).exp())
        mixed = share * (weights[..., None] * flat).sum(1) + (1 - share) * flat.mean(1)
        layer = head.think[1]
        expected = functional.gelu(layer(functional.layer_norm(mixed, (6,))))
        torch.testing.assert_close(head(clips), expected)


def test_an_attentive_head_can_find_the_one_token_that_counts():
    def clips(seed):
        draw = torch.Generator().manual_seed(seed)
        flat = torch.randn(64, 16, 6, generator=draw)
        labels = torch.randint(2, (64,), generator=draw)
        place = torch.randint(16, (64,), generator=draw)
        flat[torch.arange(64), place, 0] = 6.0
        flat[torch.arange(64), place, 1] = labels * 4.0 - 2
        return flat.unflatten(1, (4, 4)), labels

    def accuracy(kind):
        head = made(kind, classes=2).train()
        optimizer = torch.optim.Adam(head.parameters(), lr=0.005)
        for step in range(200):
            given, labels = clips(step)
            optimizer.zero_grad()
            functional.cross_entropy(head(given), labels).backward()
            optimizer.step()
        given, labels = clips(1000)
        return float((head.eval()(given).argmax(1) == labels).double().mean())

    assert accuracy("attentive") > 0.9 > accuracy("linear")

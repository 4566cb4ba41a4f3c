import pytest
import torch

from polyspace.models.grids import TokenShape
from polyspace.models.heads.pooled import CellsHead, pool
from polyspace.models.normalizers import Standardizer, measure

SHAPE = TokenShape(4, 4, 6)


def tokens(clips=5, *, seed=0):
    return torch.randn(clips, 4, 4, 6, generator=torch.Generator().manual_seed(seed))


def trained(**settings):
    """A head whose weights are anything but zero."""
    torch.manual_seed(0)
    head = CellsHead(SHAPE, classes=3, dropout=0.5, **settings)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return head.eval()


def test_pooling_gives_each_places_mean_and_spread_over_time():
    wide = pool(tokens()).view(5, 4, 12)
    torch.testing.assert_close(wide[..., :6], tokens().mean(1))
    torch.testing.assert_close(wide[..., 6:], tokens().std(1, correction=0), atol=1e-4, rtol=1e-4)


def test_pooling_of_a_still_clip_is_finite_and_so_is_its_gradient():
    still = torch.ones(1, 4, 4, 6, requires_grad=True)
    pool(still).sum().backward()
    assert still.grad is not None
    assert still.grad.isfinite().all()


def test_pooling_keeps_the_places_of_the_picture_apart():
    turned = tokens()[:, :, [1, 0, 3, 2]]
    assert not torch.allclose(pool(turned), pool(tokens()))


def test_an_untrained_head_has_no_opinion():
    head = CellsHead(SHAPE, classes=3, dropout=0.5)
    assert torch.equal(head(tokens()), torch.zeros(5, 3))


def test_it_measures_itself_in_the_scale_of_its_norm():
    head = trained()
    before = head(tokens())
    head.norm.load_state_dict(Standardizer.of(measure([pool(tokens())])).state_dict())
    scaled = head.linear((pool(tokens()) - head.norm.mean) / head.norm.std)
    torch.testing.assert_close(head(tokens()), scaled)
    assert not torch.allclose(head(tokens()), before)


@pytest.mark.parametrize("hidden", [0, 8])
def test_silent_error_6_a_prediction_never_depends_on_its_batch(hidden):
    head = trained(hidden=hidden)
    alone = torch.cat([head(clip[None]) for clip in tokens()])
    torch.testing.assert_close(alone, head(tokens()))


def test_it_drops_inputs_in_training_only():
    head = trained()
    assert torch.equal(head(tokens()), head(tokens()))
    head.train()
    assert not torch.equal(head(tokens()), head(tokens()))


def test_a_deeper_head_starts_as_the_plain_one():
    plain, deeper = trained(), CellsHead(SHAPE, classes=3, dropout=0.5, hidden=8).eval()
    deeper.load_state_dict(plain.state_dict(), strict=False)
    assert torch.equal(deeper(tokens()), plain(tokens()))

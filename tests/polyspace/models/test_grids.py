import pytest
import torch

from polyspace.errors import ConfigError
from polyspace.models.grids import TokenShape, resample, with_neighbours


def random(clips=2, time=4, space=4, dim=3):
    return torch.randn(clips, time, space, dim, generator=torch.Generator().manual_seed(0))


def over_time(values, *, space=4):
    """Tokens of one dimension that say nothing but when they are."""
    return torch.tensor(values).view(1, -1, 1, 1).expand(1, -1, space, 1)


def over_columns(values, *, time=1):
    """Tokens of one dimension on a square that say nothing but in which column they are."""
    side = len(values)
    return torch.tensor(values).expand(time, side, side).reshape(1, time, side * side, 1)


def test_the_same_grid_gives_the_same_tokens():
    tokens = random()
    assert torch.equal(resample(tokens, time=4, space=4), tokens)


def test_a_coarser_time_is_the_average():
    found = resample(over_time([1.0, 3.0, 5.0, 9.0]), time=2, space=4)
    assert torch.equal(found, over_time([2.0, 7.0]))


def test_one_token_is_the_average_of_all():
    tokens = random()
    found = resample(tokens, time=1, space=1)
    torch.testing.assert_close(found, tokens.mean((1, 2), keepdim=True))


def test_a_finer_time_keeps_a_linear_ramp_between_the_centres_of_the_cells():
    # The centres of 4 cells, at 0.5 1.5 2.5 3.5, seen from 8 cells at 0.25 0.75 …
    found = resample(over_time([0.5, 1.5, 2.5, 3.5]), time=8, space=4)
    expected = [0.5, 0.75, 1.25, 1.75, 2.25, 2.75, 3.25, 3.5]
    torch.testing.assert_close(found, over_time(expected))


def test_a_finer_picture_keeps_a_linear_ramp_along_its_columns():
    found = resample(over_columns([0.5, 1.5]), time=1, space=16)
    torch.testing.assert_close(found, over_columns([0.5, 0.75, 1.25, 1.5]))


def test_a_coarser_picture_is_the_average_of_its_quarters():
    tokens = torch.arange(16.0).view(1, 1, 16, 1)
    found = resample(tokens, time=1, space=4).flatten().tolist()
    assert found == [2.5, 4.5, 10.5, 12.5]


@pytest.mark.parametrize("time", [2, 3, 8])
@pytest.mark.parametrize("space", [1, 9, 16])
def test_silent_error_10_time_and_picture_are_never_mixed(time, space):
    in_time = resample(over_time([0.0, 4.0, 2.0, 6.0]), time=time, space=space)
    assert torch.allclose(in_time, in_time[:, :, :1].expand_as(in_time))
    in_picture = resample(over_columns([0.0, 3.0], time=4), time=time, space=space)
    assert torch.allclose(in_picture, in_picture[:, :1].expand_as(in_picture))
    rows = in_picture.view(time, int(space**0.5), int(space**0.5))
    assert torch.allclose(rows, rows[:, :1].expand_as(rows))


@pytest.mark.parametrize(("time", "space"), [(2, 1), (8, 16), (3, 9), (8, 1), (2, 9)])
def test_a_constant_stays_that_constant(time, space):
    found = resample(torch.full((1, 4, 4, 2), 3.0), time=time, space=space)
    torch.testing.assert_close(found, torch.full((1, time, space, 2), 3.0))


@pytest.mark.parametrize(("time", "space"), [(2, 1), (8, 16), (3, 9)])
def test_silent_error_6_a_clip_never_depends_on_its_batch(time, space):
    tokens = random(clips=5)
    together = resample(tokens, time=time, space=space)
    alone = torch.cat([resample(clip[None], time=time, space=space) for clip in tokens])
    torch.testing.assert_close(together, alone)


def test_a_grid_that_is_not_square_keeps_its_places_but_cannot_get_other_ones():
    tokens = random(space=6)
    assert resample(tokens, time=2, space=6).shape == (2, 2, 6, 3)
    with pytest.raises(ConfigError, match=r"6 tokens is not square.*--spatial 1 or 2"):
        resample(tokens, time=4, space=4)
    with pytest.raises(ConfigError, match="8 tokens is not square"):
        resample(random(), time=4, space=8)


def test_neighbours_stand_beside_each_token_and_the_ends_repeat():
    found = with_neighbours(over_time([1.0, 2.0, 3.0], space=1), 1)
    assert found[0, :, 0].tolist() == [[1, 1, 2], [1, 2, 3], [2, 3, 3]]


def test_a_reach_beyond_the_clip_repeats_its_ends():
    found = with_neighbours(over_time([1.0, 2.0], space=1), 3)
    assert found[0, :, 0].tolist() == [[1, 1, 1, 1, 2, 2, 2], [1, 1, 1, 2, 2, 2, 2]]


def test_no_reach_gives_the_tokens_themselves():
    tokens = random()
    assert with_neighbours(tokens, 0) is tokens


def test_neighbours_are_of_the_same_place():
    tokens = random()
    before, own, after = with_neighbours(tokens, 1).chunk(3, dim=-1)
    assert torch.equal(own, tokens)
    assert torch.equal(before[:, 1:], tokens[:, :-1])
    assert torch.equal(after[:, :-1], tokens[:, 1:])


def test_a_shape_is_said_in_three_numbers():
    assert str(TokenShape(8, 4, 768)) == "8x4x768"

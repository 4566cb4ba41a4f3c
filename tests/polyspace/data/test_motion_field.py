import numpy as np
import pytest

from polyspace.data import motion_field
from polyspace.data.views import View

FIELDS = ("source", "w", "h", "dst_x", "dst_y", "motion_x", "motion_y", "motion_scale")
RECORD = np.dtype([(name, np.int32) for name in FIELDS])
"""What PyAV hands out, as far as it counts."""


def vector(*, at, size=(16, 16), motion, scale=4, source=-1):
    record = np.zeros(1, RECORD)
    record["source"], record["motion_scale"] = source, scale
    record["dst_x"], record["dst_y"] = at
    record["w"], record["h"] = size
    record["motion_x"], record["motion_y"] = motion
    return record


def field_of(*frames, steps=1):
    sums = [None if v is None else motion_field.gather(v, height=32, width=64) for v in frames]
    return motion_field.average(sums, [slice(0, len(frames))] * steps)


def test_a_block_from_the_past_moved_the_opposite_way_of_its_vector():
    field = field_of(vector(at=(24, 8), motion=(-8, 4)))

    # 8 quarter pixels of 64, 4 of 32; the other cells have no vectors.
    expected = np.zeros((4, 2, 4))
    expected[:, 0, 1] = [100 * 2 / 64, -100 * 1 / 32, np.hypot(3.125, 3.125), 1.0]
    assert field[0] == pytest.approx(expected)


def test_a_block_from_the_future_moved_the_way_of_its_vector():
    field = field_of(vector(at=(24, 8), motion=(-8, 0), source=1))

    assert field[0, 0, 0, 1] == pytest.approx(-100 * 2 / 64)


def test_blocks_count_by_their_area():
    large = vector(at=(8, 4), size=(16, 8), motion=(-16, 0))
    small = vector(at=(4, 12), size=(8, 8), motion=(16, 0))

    field = field_of(np.concatenate([large, small]))

    # +4 pixels on 128 square pixels, -4 on 64, nothing on the last 64.
    share = 100 * 4 / 64
    assert field[0, :, 0, 0] == pytest.approx([share / 3, 0.0, share, 0.75])


def test_frames_without_vectors_count_for_nothing():
    moving = vector(at=(8, 8), motion=(-4, 0))

    assert np.array_equal(field_of(None, moving, moving), field_of(moving))


def test_a_step_without_vectors_is_zero():
    moving = motion_field.gather(vector(at=(8, 8), motion=(-4, 0)), height=32, width=64)

    field = motion_field.average([None, moving], [slice(0, 1), slice(1, 2)])

    assert not field[0].any()
    assert field[1].any()


def test_two_vectors_of_one_block_cover_it_once():
    both = np.concatenate([vector(at=(8, 8), motion=(-4, 0), source=s) for s in (-1, 1)])

    assert field_of(both)[0, 3, 0, 0] == 1.0


def test_vectors_beyond_the_border_count_at_the_border():
    field = field_of(vector(at=(70, -3), motion=(-4, 0)))

    assert field[0, 3].nonzero() == (np.array([0]), np.array([3]))


def test_stretches_part_the_frames_by_their_middles():
    seconds = np.arange(6) / 10

    assert motion_field.stretches(seconds, 0.6, View(0.0, 0.5), 3) == [
        slice(0, 2),
        slice(2, 4),
        slice(4, 6),
    ]


def test_a_stretch_shorter_than_a_frame_takes_the_one_on_show():
    seconds = np.array([0.0, 0.5])

    assert motion_field.stretches(seconds, 1.0, View(0.0, 0.5), 4) == [
        slice(0, 1), slice(0, 1), slice(1, 2), slice(1, 2),
    ]  # fmt: skip

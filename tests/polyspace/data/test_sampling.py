from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyspace.data.sampling import sample_indices, seconds_from_start, union
from polyspace.data.views import View
from polyspace.errors import VideoError

EVEN = np.arange(61) / 25
WHOLE = View(0.0, 60 / 25)


def test_frames_are_spread_evenly_from_the_first_to_the_last():
    assert sample_indices(EVEN, WHOLE, 5) == [0, 15, 30, 45, 60]


def test_a_shorter_clip_repeats_frames_where_they_stand():
    assert sample_indices(np.arange(3) / 25, View(0.0, 2 / 25), 5) == [0, 0, 1, 1, 2]


def test_a_union_holds_each_frame_once():
    assert union(EVEN, [WHOLE], (3, 4)) == [0, 20, 30, 40, 60]


@given(
    gaps=st.lists(st.floats(0.01, 2.0), min_size=1, max_size=40),
    counts=st.lists(st.integers(1, 20), min_size=1, max_size=3),
)
def test_who_chooses_among_the_chosen_gets_the_same_frames(gaps, counts):
    seconds = np.concatenate([[0.0], np.cumsum(gaps)])
    view = View(0.0, seconds[-1])
    kept = union(seconds, [view], [*counts, 2])

    for count in counts:
        again = sample_indices(seconds[kept], view, count)
        assert [kept[index] for index in again] == sample_indices(seconds, view, count)


def test_seconds_count_from_the_first_frame():
    assert seconds_from_start(np.array([3.0, 3.5, 4.5]), None).tolist() == [0.0, 0.5, 1.5]


@pytest.mark.parametrize("stamps", [[0.0, 2.0, 1.0], [0.0, 0.0, 1.0], [0.0, np.nan, 1.0]])
def test_stamps_that_are_no_times_give_way_to_the_rate(stamps):
    assert seconds_from_start(np.array(stamps), Fraction(10)).tolist() == [0.0, 0.1, 0.2]


def test_neither_stamps_nor_a_rate_is_an_error():
    with pytest.raises(VideoError, match="neither time stamps nor a frame rate"):
        seconds_from_start(np.array([np.nan, np.nan]), None)

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyspace.data.views import View, Viewing
from polyspace.errors import ConfigError

SECONDS = st.floats(0.0, 1e4)


def test_by_default_the_whole_clip_is_looked_at_once():
    assert Viewing().views("a", 10.0) == (View(0.0, 10.0, 0.5),)
    assert Viewing().record() == {"views": 1, "window": "whole clip", "sampling": "even in time"}


def test_segments_are_equal_parts():
    assert Viewing(segments=2).views("a", 10.0) == (View(0.0, 5.0), View(5.0, 10.0))


def test_a_window_lies_in_the_middle_of_its_segment_and_within_the_clip():
    spans = [
        (view.start_seconds, view.stop_seconds)
        for view in Viewing(segments=2, window_seconds=4.0).views("a", 10.0)
    ]
    assert spans == [(0.5, 4.5), (5.5, 9.5)]
    [first, last] = Viewing(segments=2, window_seconds=8.0).views("a", 10.0)
    assert (first.start_seconds, last.stop_seconds) == (0.0, 10.0)


def test_a_clip_shorter_than_the_window_is_run_past():
    assert Viewing(window_seconds=4.0).views("a", 1.0) == (View(0.0, 4.0),)


def test_crops_lie_at_the_ends_and_between():
    views = Viewing(segments=2, crops=3).views("a", 10.0)

    assert [view.place for view in views] == [0.0, 0.5, 1.0] * 2
    assert Viewing(segments=2, crops=3).count == 6


@given(last=SECONDS, window=st.none() | st.floats(0.01, 1e3), segments=st.integers(1, 9))
def test_windows_are_of_one_length_and_begin_within_the_clip(last, window, segments):
    for view in Viewing(segments=segments, window_seconds=window).views("a", last):
        assert 0 <= view.start_seconds <= last
        length = view.stop_seconds - view.start_seconds
        assert length == pytest.approx(window or last / segments, abs=1e-9)


@given(last=SECONDS, seed=st.integers(0, 9))
def test_drawn_views_are_the_clips_own_and_the_seeds(last, seed):
    viewing = Viewing(drawn=3, window_seconds=1.0, flips=True, seed=seed)

    views = viewing.views("a", last)

    assert views == viewing.views("a", last)
    assert views != viewing.views("b", last)
    assert len(views) == viewing.count == 3
    assert all(0 <= v.place <= 1 and 0 <= v.start_seconds <= max(last - 1, 0) for v in views)


def test_drawn_views_are_flipped_only_where_that_is_allowed():
    def flips(allowed):
        viewing = Viewing(drawn=50, flips=allowed)
        return sum(view.flipped for view in viewing.views("a", 1.0))

    assert flips(allowed=False) == 0
    assert 10 < flips(allowed=True) < 40


@pytest.mark.parametrize("wrong", [{"segments": 0}, {"crops": 0}, {"window_seconds": 0.0}])
def test_views_of_nothing_are_refused(wrong):
    with pytest.raises(ConfigError, match="expected"):
        Viewing(**wrong)


def test_views_other_than_the_default_are_recorded_whole():
    record = Viewing(segments=2, crops=3, window_seconds=2.0).record()

    assert record["views"] == 6
    assert (record["segments"], record["crops"], record["window_seconds"]) == (2, 3, 2.0)


@pytest.mark.parametrize(
    "viewing",
    [
        Viewing(),
        Viewing(segments=2, crops=3, window_seconds=1.5),
        Viewing(window_seconds=2.0, drawn=4, flips=True, seed=7),
    ],
)
def test_a_record_makes_the_same_views_again(viewing):
    damaged = {"damaged_frames": "allowed"}
    assert Viewing.of_record({**json.loads(json.dumps(viewing.record())), **damaged}) == viewing


def test_a_record_that_leaves_views_open_is_refused():
    with pytest.raises(ConfigError, match=r"doesn't say segments, crops, .* of their views"):
        Viewing.of_record({"views": 1})

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from polyspace.export.selection import scoring, stability
from polyspace.export.selection.matching import Found
from polyspace.export.selection.policy import Bound, Policy, Term, Tie
from polyspace.export.selection.table import Row

VALUES = st.sampled_from([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
PLACES = st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=8)
TWO = Policy(objective=(Term(metric="a"), Term(metric="b", direction="down")))


def judged(places, policy=TWO):
    rows = [Row(step, None, {"a": a, "b": b}, None, None) for step, (a, b) in enumerate(places)]
    return [scoring.judge(Found(row, Path("x.pt"), ""), row.metrics, policy) for row in rows]


def front_of(places, policy=TWO):
    front = stability.front(judged(places, policy), policy)
    assert front is not None
    return front


@given(PLACES)
def test_whatever_is_not_on_the_front_is_beaten_by_something_that_is(places):
    front = front_of(places)
    on = {places[step] for step in front.steps}
    for a, b in places:
        beaten = [(x, y) for x, y in on if x >= a and y <= b and (x, y) != (a, b)]
        assert bool(beaten) == ((a, b) not in on)


@given(PLACES)
def test_the_winner_is_on_the_front_whatever_the_weights(places):
    front = front_of(places)
    assert next(scoring.ranked(judged(places), TWO)).step in front.steps


def test_the_front_is_of_those_that_pass():
    policy = TWO.model_copy(update={"constraints": (Bound(metric="a", op="<", limit=1.0),)})
    assert front_of([(1.0, 0.0), (0.5, 0.5)], policy).steps == (1,)


def test_one_term_takes_its_second_axis_from_what_breaks_ties():
    one = Policy(objective=(Term(metric="a"),))
    assert stability.front(judged([(1.0, 0.0)], one), one) is None
    tied = one.model_copy(update={"tie_break": (Tie(metric="b", direction="down"),)})
    front = front_of([(1.0, 0.0)], tied)
    assert (front.metrics, front.directions) == (("a", "b"), ("up", "down"))


def test_a_winner_that_hangs_on_a_weight_is_told():
    places = [(1.0, 0.6), (0.5, 0.0)]  # scores 0.4 and 0.5
    told = {
        (one.metric, one.factor): (one.step, one.changed)
        for one in stability.variations(judged(places), TWO)
    }
    assert told == {
        ("a", 0.5): (1, False),  # -0.1 and 0.25
        ("a", 1.5): (0, True),  # 0.9 and 0.75
        ("b", 0.5): (0, True),  # 0.7 and 0.5
        ("b", 1.5): (1, False),  # 0.1 and 0.5
    }


def test_the_lead_is_over_the_next_that_may_win():
    policy = TWO.model_copy(update={"constraints": (Bound(metric="a", op="<", limit=1.0),)})
    places = [(1.0, 0.0), (0.5, 0.0), (0.4, 0.0)]
    lead = next(stability.variations(judged(places, policy), policy)).lead
    assert lead is not None
    assert abs(lead - 0.05) < 1e-12
    assert next(stability.variations(judged([(0.5, 0.0)]), TWO)).lead is None

from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from polyspace.errors import ConfigError, SelectionError
from polyspace.export.selection import scoring
from polyspace.export.selection.matching import Found
from polyspace.export.selection.policy import Bound, Policy, Term, Tie
from polyspace.export.selection.table import Row

VALUES = st.sampled_from([-2.0, -0.5, 0.0, 0.1, 0.3, 0.7, 1.0, 5.0])
"""Few values, so that ties are common."""
METRICS = st.fixed_dictionaries({"a": VALUES, "b": VALUES, "c": VALUES})
TABLES = st.lists(METRICS, min_size=1, max_size=8)
WEIGHTS = st.sampled_from([0.0, 0.5, 1.0, 3.0])
DIRECTIONS = st.sampled_from(["up", "down"])
OPS = st.sampled_from(["<", "<=", ">", ">="])
BOUNDS = st.builds(lambda op, limit: Bound(metric="c", op=op, limit=limit), OPS, VALUES)
POLICIES = st.builds(
    lambda weights, ways, bounds, tie: Policy(
        objective=(
            Term(metric="a", direction=ways[0], weight=weights[0]),
            Term(metric="b", direction=ways[1], weight=weights[1]),
        ),
        constraints=tuple(bounds),
        tie_break=(Tie(metric="c", direction=tie),),
    ),
    st.tuples(WEIGHTS, WEIGHTS),
    st.tuples(DIRECTIONS, DIRECTIONS),
    st.lists(BOUNDS, max_size=2),
    DIRECTIONS,
)


def judged(rows, policy):
    return [
        scoring.judge(
            Found(Row(step, None, metrics, None, None), Path(f"{step}.pt"), ""), metrics, policy
        )
        for step, metrics in enumerate(rows)
    ]


def fulfils(metrics, policy):
    """Say it in other words than the code does."""
    value = metrics["c"]
    told = {
        "<": lambda limit: value < limit,
        "<=": lambda limit: not value > limit,
        ">": lambda limit: value > limit,
        ">=": lambda limit: not value < limit,
    }
    return all(told[bound.op](bound.limit) for bound in policy.constraints)


@given(TABLES, POLICIES)
def test_the_winner_is_a_maximum_among_the_rows_that_pass(rows, policy):
    passing = [row for row in rows if fulfils(row, policy)]
    assume(passing)
    winner = scoring.choose(judged(rows, policy), policy)
    first, second = policy.objective
    signs = [1 if term.direction == "up" else -1 for term in policy.objective]

    def score(row):
        return signs[0] * first.weight * row["a"] + signs[1] * second.weight * row["b"]

    assert fulfils(winner.metrics, policy)
    assert winner.score == pytest.approx(max(map(score, passing)), abs=1e-12)


@given(TABLES, POLICIES, st.randoms(use_true_random=False))
def test_the_order_of_rows_never_matters(rows, policy, random):
    one = judged(rows, policy)
    other = list(one)
    random.shuffle(other)
    assert [j.step for j in scoring.ranked(one, policy)] == [
        j.step for j in scoring.ranked(other, policy)
    ]


@given(TABLES, POLICIES)
def test_no_row_that_passes_and_scores_the_same_is_better_by_the_tie_or_earlier(rows, policy):
    assume(any(fulfils(row, policy) for row in rows))
    all_of_them = judged(rows, policy)
    winner = scoring.choose(all_of_them, policy)
    sign = 1 if policy.tie_break[0].direction == "up" else -1
    for other in all_of_them:
        if other.passes and other.score == winner.score and other is not winner:
            apart = sign * (other.metrics["c"] - winner.metrics["c"])
            assert apart < 0 or (apart == 0 and other.step > winner.step)


@given(TABLES, POLICIES)
def test_of_none_that_passes_the_nearest_is_taken_only_if_asked_for(rows, policy):
    assume(not any(fulfils(row, policy) for row in rows))
    with pytest.raises(SelectionError, match="none of"):
        scoring.choose(judged(rows, policy), policy)
    lenient = policy.model_copy(update={"on_none_pass": "least_violation"})
    winner = scoring.choose(judged(rows, lenient), lenient)
    assert not winner.passes
    assert all(winner.violation <= other.violation for other in judged(rows, lenient))


@pytest.mark.parametrize(
    ("bound", "value", "violation"),
    [
        (Bound(metric="c", op="<", limit=2.0), 3.0, 0.5),
        (Bound(metric="c", op=">=", limit=0.5), 0.25, 0.5),
        (Bound(metric="c", op=">", limit=-4.0), -6.0, 0.5),
        (Bound(metric="c", op="<=", limit=0.0), 0.25, 0.25),
        (Bound(metric="c", op="<", limit=2.0), 2.0, 0.0),
        (Bound(metric="c", op="<", limit=2.0), 1.0, 0.0),
    ],
)
def test_violations_are_shares_of_the_limit(bound, value, violation):
    assert bound.violation({"c": value}) == violation


def test_a_strict_limit_is_not_fulfilled_by_its_own_value():
    assert not Bound(metric="c", op="<", limit=2.0).holds({"c": 2.0})
    assert Bound(metric="c", op="<=", limit=2.0).holds({"c": 2.0})


ONE = Policy(objective=(Term(metric="a"),), targets=(Bound(metric="b", op=">=", limit=0.5),))


def test_a_target_is_asked_of_the_winner_alone_and_decides_nothing():
    rows = [{"a": 1.0, "b": 0.0}, {"a": 0.5, "b": 1.0}]
    winner = scoring.choose(judged(rows, ONE), ONE)
    assert (winner.step, winner.missed) == (0, ("b>=0.5",))
    strict = ONE.model_copy(update={"on_missed_target": "require"})
    with pytest.raises(SelectionError, match=r"step 0, misses b>=0\.5, which is required"):
        scoring.choose(judged(rows, strict), strict)


def test_a_metric_that_was_not_measured_is_not_made_up():
    with pytest.raises(ConfigError, match="asks for 'b', which was not measured: known are a"):
        judged([{"a": 1.0}], ONE)


@pytest.mark.parametrize(("weight", "a"), [(1e308, 1e308), (1.0, 1e308)])
def test_a_score_beyond_all_numbers_is_refused(weight, a):
    terms = (Term(metric="a", weight=weight), Term(metric="b", weight=weight))
    with pytest.raises(SelectionError, match="has no finite score"):
        judged([{"a": a, "b": a}], Policy(objective=terms))

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from polyspace.errors import DatasetError, MetricError
from polyspace.metrics import intervals
from polyspace.metrics.intervals import Resampling, bootstrap, holm, mcnemar


def estimate(values, groups, *, resamples=500, seed=0):
    return bootstrap(
        np.asarray(values, np.float64),
        tuple(groups),
        resamples=resamples,
        random=np.random.default_rng(seed),
    )


def difference(first, second, groups, *, resamples=500, seed=0):
    first, second = (np.asarray(values, np.float64) for values in (first, second))
    random, seeds = np.random.default_rng(seed), len(np.atleast_2d(first))
    drawn = Resampling.draw(tuple(groups), seeds=seeds, resamples=resamples, random=random)
    return drawn.difference(first, second)


def test_the_value_is_the_mean_over_clips_whatever_the_sizes_of_groups():
    found = estimate([1, 1, 1, 0], ["a", "a", "a", "b"])
    assert found.value == 0.75
    assert found.low <= found.value <= found.high


def test_values_that_all_agree_leave_no_doubt():
    found = estimate([1] * 6, "aabbcc")
    assert (found.low, found.high) == (1, 1)


def test_two_groups_of_which_one_is_always_right_give_every_possible_mean():
    found = estimate([1, 1, 0, 0], "aabb")
    assert (found.value, found.low, found.high) == (0.5, 0, 1)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    random = np.random.default_rng(1)
    values, groups = random.normal(size=60), [str(n % 20) for n in range(60)]
    assert estimate(values, groups) == estimate(values, groups)
    assert estimate(values, groups) != estimate(values, groups, seed=1)


def test_groups_that_succeed_and_fail_as_one_widen_the_interval():
    right = np.repeat(np.arange(100) % 2, 4)
    by_group = estimate(right, [str(n // 4) for n in range(400)], resamples=2000)
    by_clip = estimate(right, [str(n) for n in range(400)], resamples=2000)
    # The deviation of a mean of 100 instead of 400: twice as wide.
    ratio = (by_group.high - by_group.low) / (by_clip.high - by_clip.low)
    assert ratio == pytest.approx(2, rel=0.1)


def test_half_the_width_is_twice_the_standard_error_of_independent_clips():
    values = (np.arange(400) % 4 == 0).astype(np.float64)
    found = estimate(values, [str(n) for n in range(400)], resamples=2000)
    expected = 1.96 * (0.25 * 0.75 / 400) ** 0.5
    assert (found.high - found.low) / 2 == pytest.approx(expected, rel=0.08)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(3)
    groups = [str(n // 5) for n in range(200)]
    inside = 0
    for _ in range(200):
        skill = np.repeat(random.uniform(0.4, 1.0, 40), 5)
        found = estimate(random.random(200) < skill, groups, resamples=200)
        inside += found.low <= 0.7 <= found.high
    assert 0.9 <= inside / 200 <= 0.98


def test_a_paired_difference_ignores_what_both_methods_find_hard():
    random = np.random.default_rng(2)
    first = random.random(200) < 0.5
    second = first.copy()
    second[:4] = ~second[:4]
    groups = [str(n) for n in range(200)]
    paired = estimate(first.astype(float) - second, groups)
    alone = estimate(first, groups)
    assert paired.high - paired.low < 0.4 * (alone.high - alone.low)


def test_one_group_alone_has_no_interval():
    with pytest.raises(DatasetError, match=r"all 3 clips belong to the group 'a'.*at least two"):
        estimate([1, 0, 1], "aaa")


def test_mcnemar_is_the_two_sided_binomial_test_of_the_clips_that_differ():
    first = np.array([True] * 5 + [False] + [True] * 10)
    second = np.array([False] * 5 + [True] + [True] * 10)
    # Five against one: 2 * (1 + 6) / 2**6.
    assert mcnemar(first, second) == pytest.approx(14 / 64)
    assert mcnemar(second, first) == mcnemar(first, second)


def test_methods_that_are_right_on_the_same_clips_do_not_differ():
    same = np.array([True, False, True])
    assert mcnemar(same, same) == 1


def test_groups_of_one_clip_give_the_percentile_interval_of_scipy():
    values = np.random.default_rng(5).normal(size=80)
    theirs = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=700,
        method="percentile",
        axis=-1,
        rng=np.random.default_rng(9),
    ).confidence_interval
    # SciPy draws its indices from the generator as we do: these are the same resamples.
    ours = estimate(values, [f"{n:02}" for n in range(80)], resamples=700, seed=9)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize("block", [1, 37, 1 << 20])
def test_resamples_are_the_mean_over_the_clips_of_the_drawn_groups(monkeypatch, block):
    monkeypatch.setattr(intervals, "BLOCK", block)
    random = np.random.default_rng(4)
    values, groups = random.normal(size=(3, 30)), random.integers(0, 8, size=30)
    drawn = Resampling.draw(
        tuple(map(str, groups)), seeds=3, resamples=50, random=np.random.default_rng(6)
    )
    again = np.random.default_rng(6)
    members = [again.integers(0, 8, size=8) for _ in range(50)]
    seeds = [again.integers(0, 3, size=3) for _ in range(50)]
    expected = [
        np.concatenate([values[seed, groups == member] for seed in rows for member in columns])
        for rows, columns in zip(seeds, members, strict=True)
    ]
    np.testing.assert_allclose(drawn.means(values), [each.mean() for each in expected])


def test_seeds_that_disagree_widen_the_interval_and_seeds_that_agree_do_not():
    values = np.random.default_rng(0).normal(size=60)
    groups = [str(n) for n in range(60)]
    alone = estimate(values, groups, resamples=4000)
    agreeing = estimate(np.tile(values, (5, 1)), groups, resamples=4000)
    assert (agreeing.value, agreeing.low) == pytest.approx((alone.value, alone.low))
    apart = estimate(values + np.arange(5)[:, None], groups, resamples=4000)
    assert apart.value == pytest.approx(alone.value + 2)
    # Five draws of 0 to 4 have a standard deviation of sqrt(2 / 5), beside the clips' own.
    spread = (apart.high - apart.low) ** 2 - (alone.high - alone.low) ** 2
    assert spread**0.5 == pytest.approx(2 * 1.96 * (2 / 5) ** 0.5, rel=0.08)


def test_a_difference_is_the_interval_of_the_clips_differences_and_turns_with_its_sign():
    random = np.random.default_rng(2)
    first, second = random.random((2, 90)).round()
    groups = [str(n % 30) for n in range(90)]
    found = difference(first, second, groups)
    expected = estimate(first - second, groups)
    assert (found.value, found.low, found.high) == (expected.value, expected.low, expected.high)
    turned = difference(second, first, groups)
    assert (turned.value, turned.p) == (-found.value, found.p)


@pytest.mark.parametrize("lead", [0.0, 0.05, 0.12, 0.3])
def test_p_is_below_a_twentieth_where_the_interval_excludes_no_difference(lead):
    random = np.random.default_rng(7)
    for _ in range(20):
        first, second = random.random((2, 120))
        groups = [str(n % 40) for n in range(120)]
        found = difference(first + lead, second, groups, resamples=999)
        assert (found.p < 0.05) == (found.low > 0 or found.high < 0)


def test_methods_that_never_differ_are_certain_to_be_alike():
    same = np.array([1.0, 0.0, 1.0, 1.0])
    assert difference(same, same, "aabb") == intervals.Difference(0.0, 0.0, 0.0, 1.0)


def test_methods_alike_are_told_apart_about_as_often_as_the_level_allows():
    random = np.random.default_rng(8)
    groups = [str(n // 3) for n in range(180)]
    found = 0
    for _ in range(300):
        hard = np.repeat(random.random(60), 3)
        first, second = (random.random((2, 180)) < hard).astype(float)
        found += difference(first, second, groups, resamples=200).p < 0.05
    assert 0.02 <= found / 300 <= 0.09


def test_a_lead_of_some_deviations_is_found():
    random = np.random.default_rng(9)
    second = (random.random(300) < 0.5).astype(float)
    first = np.where(random.random(300) < 0.25, 1, second)
    assert difference(first, second, [str(n // 3) for n in range(300)]).p < 0.01


def test_scores_that_are_not_numbers_are_refused_with_their_count():
    values = np.array([[1, np.nan, 0, 1], [1, 0, np.inf, 1]])
    with pytest.raises(MetricError, match=r"the scores of 2 of 4 clips are not numbers"):
        estimate(values, "aabb")


def test_scores_of_other_clips_or_seeds_are_refused():
    with pytest.raises(MetricError, match=r"1 seeds of 3 clips, but 1 seeds of 4 clips were drawn"):
        estimate([1, 0, 1], "aabb")
    drawn = Resampling.draw(tuple("aabb"), seeds=3, resamples=5, random=np.random.default_rng(0))
    with pytest.raises(MetricError, match=r"2 seeds of 4 clips, but 3 seeds"):
        drawn.means(np.ones((2, 4)))


def test_holm_gives_the_worked_example():
    # Holm's procedure by hand: .01 * 4, .02 * 3 raised by nothing, .03 * 2, .04 raised to .06.
    assert holm([0.01, 0.04, 0.03, 0.02]) == pytest.approx([0.04, 0.06, 0.06, 0.06])
    # R: p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm") gives 0.05, 0.08, 0.09, 0.09, 0.09.
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_rejects_what_stepping_down_rejects(p_values):
    adjusted = holm(p_values)
    for level in (0.01, 0.05, 0.3):
        expected = set()
        for step, place in enumerate(np.argsort(p_values, kind="stable")):
            if p_values[place] * (len(p_values) - step) > level:
                break
            expected.add(int(place))
        assert {n for n, p in enumerate(adjusted) if p <= level} == expected


def test_no_comparison_needs_no_adjusting_and_nonsense_is_refused():
    assert holm([]) == []
    with pytest.raises(MetricError, match="not all p-values"):
        holm([0.2, float("nan")])

import numpy as np
import pytest

from polyspace.errors import DatasetError
from polyspace.metrics.intervals import bootstrap, mcnemar


def estimate(values, groups, *, resamples=500, seed=0):
    return bootstrap(
        np.asarray(values, np.float64),
        tuple(groups),
        resamples=resamples,
        random=np.random.default_rng(seed),
    )


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

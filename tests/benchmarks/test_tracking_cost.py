import numpy as np

from tests.benchmarks import tracking_cost


def test_every_way_of_tracking_is_measured_and_tabled(mlflow_uri):
    costs = [tracking_cost.measure(mode, 2, 2) for mode in ("off", "pass")]
    assert costs[0].told_seconds < costs[0].seconds
    assert [line.split(" ")[1] for line in tracking_cost.table(costs).splitlines()[2:]] == [
        "off",
        "pass",
    ]


def test_a_cost_of_two_percent_shows_in_noise_that_is_ten_times_as_large():
    draw = np.random.default_rng(1)
    ratios = 1.02 * np.exp(0.2 * draw.standard_normal(2000))
    middle, bounds = tracking_cost.interval(list(ratios)).split(" ", 1)
    low, high = (float(word) for word in bounds.strip("[]").split(", "))
    assert 1 < low < float(middle) < high < 1.04

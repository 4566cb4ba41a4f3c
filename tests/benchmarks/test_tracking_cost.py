from tests.benchmarks import tracking_cost


def test_every_way_of_tracking_is_measured_and_tabled(mlflow_uri):
    costs = [tracking_cost.measure(mode, 2, 2) for mode in ("off", "pass")]
    assert costs[0].told_seconds < costs[0].seconds
    assert [line.split(" ")[1] for line in tracking_cost.table(costs).splitlines()[2:]] == [
        "off",
        "pass",
    ]

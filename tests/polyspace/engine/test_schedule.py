import pytest

from polyspace.engine.schedule import factor

NAMES = ("constant", "cosine", "one_cycle")


@pytest.mark.parametrize("name", ["constant", "cosine"])
def test_it_rises_linearly_to_the_peak(name):
    rates = [factor(name, done, 100) for done in range(5)]
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 1])


def test_cosine_falls_from_the_peak_to_zero_along_half_a_cosine():
    assert factor("cosine", 20, 400) == 1
    assert factor("cosine", 210, 400) == pytest.approx(0.5)
    assert factor("cosine", 400, 400) == 0


def test_constant_stays_at_the_peak():
    assert {factor("constant", done, 100) for done in range(5, 101)} == {1.0}


def test_one_cycle_rises_and_falls_along_half_cosines():
    def rate(done):
        return factor("one_cycle", done, 101, warmup=0.5)

    assert rate(-1) == pytest.approx(1 / 25)
    assert rate(24) == pytest.approx((1 + 1 / 25) / 2)
    assert rate(49) == pytest.approx(1)
    assert rate(50) == 1
    assert rate(101) == pytest.approx(1 / 250_000)


@pytest.mark.parametrize("name", ["cosine", "one_cycle"])
def test_it_never_rises_after_the_warmup(name):
    values = [factor(name, done, 60) for done in range(3, 61)]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("total", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("warmup", [0.0, 0.05, 1.0])
def test_no_step_of_a_run_has_a_rate_of_zero_or_above_the_peak(name, total, warmup):
    assert all(0 < factor(name, done, total, warmup=warmup) <= 1 for done in range(total))


@pytest.mark.parametrize("name", NAMES)
def test_a_run_of_one_step_takes_it_at_the_peak(name):
    assert factor(name, 0, 1) == pytest.approx(1)

import pytest

from polyspace.engine.schedule import warmup_cosine


def test_it_rises_linearly_to_the_peak():
    assert [warmup_cosine(done, 100) for done in range(5)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1])


def test_it_falls_from_the_peak_to_zero_along_half_a_cosine():
    assert warmup_cosine(20, 400) == 1
    assert warmup_cosine(210, 400) == pytest.approx(0.5)
    assert warmup_cosine(400, 400) == 0


def test_it_never_rises_after_the_warmup():
    values = [warmup_cosine(done, 60) for done in range(3, 61)]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("total", [1, 2, 3, 7, 1000])
def test_no_step_of_a_run_has_a_rate_of_zero_or_above_the_peak(total):
    assert all(0 < warmup_cosine(done, total) <= 1 for done in range(total))


def test_a_run_of_one_step_takes_it_at_the_peak():
    assert warmup_cosine(0, 1) == 1

import pytest

from tests.benchmarks import planted_signal
from tests.benchmarks.planted_signal import Finding


@pytest.mark.parametrize("helps", [True, False])
def test_a_teacher_that_knows_is_found_to_help_and_one_that_does_not_is_not(tmp_path, helps):
    found = planted_signal.finding(tmp_path, 0, helps=helps, seeds=1)
    assert found.significant is helps
    assert found.low <= found.difference <= found.high


def test_the_table_counts_both_kinds_of_worlds():
    found = [
        Finding(True, 0, 0.6, 0.4, 0.2, 0.1, 0.3, 0.001),
        Finding(True, 1, 0.5, 0.5, 0.0, -0.1, 0.1, 0.9),
        Finding(False, 0, 0.3, 0.4, -0.1, -0.2, -0.01, 0.03),
    ]
    text = planted_signal.table(found)
    assert "| knows the latents | 1 of 2 | 55.0% | 45.0% | +10.0 points |" in text
    assert "| knows nothing of the clip | 0 of 1 |" in text
    assert "| helps | 0 | 60.0% | 40.0% | +20.0 [+10.0, +30.0] | 0.0010 |" in text

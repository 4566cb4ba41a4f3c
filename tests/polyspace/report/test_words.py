from datetime import UTC, datetime
from math import nan

import pytest

from polyspace.report import words
from polyspace.report.records.inference import Span
from polyspace.report.records.record import Estimate


def test_shares_are_written_in_percent_and_missing_ones_as_a_dash():
    assert words.percent(0.7124) == "71.2 %"
    assert words.percent(nan) == "\N{EN DASH}"
    assert words.interval(Estimate(value=0.7, low=0.66, high=0.7612)) == "[66.0, 76.1]"


def test_differences_have_a_sign_and_a_minus_not_a_hyphen():
    assert words.points(0.052) == "+5.2"
    difference = Estimate(value=0, low=-0.01, high=0.091)
    assert words.signed_interval(difference) == "[\N{MINUS SIGN}1.0, +9.1]"


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.012, "p = .012"),
        (0.0004, "p < .001"),
        (0.001, "p = .001"),
        (0.9, "p = .900"),
        (1.0, "p = 1"),
    ],
)
def test_p_values_have_three_decimals_and_no_false_zero_or_one(p, text):
    assert words.probability(p) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (3_812_000, "3.81 MB"),
        (2 * 10**12, "2 TB"),
    ],
)
def test_sizes_are_in_decimal_units(count, text):
    assert words.size(count) == text


def test_names_are_written_as_prose():
    assert words.method("equal_parameters") == "equal parameters"
    assert words.method("teacher:motion_vectors") == "teacher: motion_vectors"
    assert words.listed(["a"]) == "a"
    assert words.listed(["a", "b", "c"]) == "a, b and c"


def test_numbers_stay_with_their_units_and_intervals_in_one_piece():
    text = words.unbroken("reaches 71.2 % [66.0, 76.1] (McNemar p < .001)")
    assert text.split(" ") == [
        "reaches",
        "71.2\N{NO-BREAK SPACE}%",
        "[66.0,\N{NO-BREAK SPACE}76.1]",
        "(McNemar",
        "p\N{NO-BREAK SPACE}<\N{NO-BREAK SPACE}.001)",
    ]


def test_a_moment_names_its_time_zone_if_it_has_one():
    when = datetime(2026, 11, 21, 5, 0, tzinfo=UTC)
    assert words.moment(when) == "21 November 2026, 05:00 UTC"
    assert words.moment(when.replace(tzinfo=None)) == "21 November 2026, 05:00"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.01234, "0.0123"),
        (1.0, "1.00"),
        (12.34, "12.3"),
        (1234.5, "1234"),
        (99.96, "100.0"),
    ],
)
def test_three_figures_are_never_a_power_of_ten(value, text):
    assert words.figures(value) == text


def test_spans_have_their_quantiles_in_brackets():
    assert words.milliseconds(Span(median=12.34, low=9.9, high=100)) == "12.3 [9.90, 100]"
    assert words.times(Span(median=0.265, low=0.2, high=0.3049)) == "0.27 [0.20, 0.30]"
    assert words.times(Span(median=0.0123, low=0.0041, high=0.1)) == "0.012 [0.004, 0.10]"


def test_what_rounds_to_zero_has_no_minus():
    assert words.signed(-0.001) == "+0.00"
    assert words.signed(-0.71) == "\N{MINUS SIGN}0.71"


def test_a_machine_has_threads_in_the_right_number():
    assert words.machine("a processor", 1) == "a processor, 1 thread"
    assert words.machine("a processor", 2) == "a processor, 2 threads"


def test_a_factor_stays_with_its_sign():
    times = "\N{MULTIPLICATION SIGN}"
    assert words.unbroken(f"0.23 {times} the time") == f"0.23\N{NO-BREAK SPACE}{times} the time"

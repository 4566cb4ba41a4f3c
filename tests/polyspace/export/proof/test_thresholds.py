from dataclasses import replace
from typing import get_args

import pytest

from polyspace.errors import ExportError
from polyspace.export.formats.kinds import FormatName
from polyspace.export.proof.compare import Comparison, Interval
from polyspace.export.proof.thresholds import OWN, Thresholds, decide, enforce

FOUND = Comparison(
    clips=200,
    looks=200,
    groups=20,
    top1_source=Interval(0.8, 0.7, 0.9),
    top1_export=Interval(0.795, 0.7, 0.9),
    difference_points=Interval(-0.5, -1.0, 0.0),
    agreement=0.99,
    max_abs_logit=0.1,
    mean_abs_logit=0.01,
    mean_kl=1e-3,
    max_kl=1e-2,
    changed=(),
)


def test_every_format_has_limits():
    assert set(OWN) == set(get_args(FormatName))
    assert all(own.points is not None for own in OWN.values())


def test_float32_may_not_differ_at_all():
    assert OWN["fp32"] == Thresholds(points=0.0, agreement=1.0)


def test_what_is_given_goes_before_the_formats_own():
    assert decide("int8") == Thresholds(points=0.5)
    assert decide("int8", points=0.0) == Thresholds(points=0.0)
    assert decide("fp32", agreement=0.9, mean_kl=0.1) == Thresholds(0.0, 0.9, 0.1)


@pytest.mark.parametrize(
    ("allowed", "words"),
    [
        (Thresholds(points=0.4), r"0\.50 points of top-1 \(allowed: 0\.4, --threshold-points\)"),
        (Thresholds(agreement=0.995), r"an agreement of 0\.9900 \(allowed: at least 0\.995"),
        (Thresholds(mean_kl=9e-4), r"divergence of 0\.001 nats \(allowed: 0\.0009, --threshold-kl"),
    ],
    ids=["points", "agreement", "divergence"],
)
def test_above_a_limit_the_message_says_what_was_found_and_what_is_allowed(allowed, words):
    with pytest.raises(ExportError, match=words) as caught:
        enforce(FOUND, allowed, "int8")
    assert "\n" not in str(caught.value)
    assert "on 200 held-out clips" in str(caught.value)


def test_at_its_limits_an_export_is_published():
    enforce(FOUND, Thresholds(points=0.5, agreement=0.99, mean_kl=1e-3), "int8")
    enforce(FOUND, Thresholds(), "int8")


def test_an_export_that_is_better_by_too_much_is_refused_too():
    better = replace(FOUND, difference_points=Interval(0.5, 0.0, 1.0))
    with pytest.raises(ExportError, match=r"0\.50 points"):
        enforce(better, Thresholds(points=0.4), "fp16")


def test_everything_that_is_wrong_is_named():
    with pytest.raises(ExportError, match=r"points of top-1.* and an agreement .* and a mean div"):
        enforce(FOUND, Thresholds(0.0, 1.0, 0.0), "fp32")


@pytest.mark.parametrize("field", ["agreement", "mean_kl"])
def test_what_is_no_number_is_refused(field):
    broken = replace(FOUND, **{field: float("nan")})
    with pytest.raises(ExportError):
        enforce(broken, Thresholds(None, 0.0, 1e9), "fp16")

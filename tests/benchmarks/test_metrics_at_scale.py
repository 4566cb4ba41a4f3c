from argparse import Namespace

import pytest

from tests.benchmarks import metrics_at_scale

SMALL = Namespace(
    clips=60, classes=5, per_group=3, methods=3, seeds=2, permutations=5, threads=1, out=None
)


@pytest.mark.parametrize("part", list(metrics_at_scale.PARTS))
def test_every_part_runs_on_little(part, monkeypatch):
    monkeypatch.setattr(metrics_at_scale, "TEACHER_DIM", 6)
    monkeypatch.setattr(metrics_at_scale, "STUDENT_DIM", 8)
    metrics_at_scale.PARTS[part](SMALL)


def test_the_document_adds_up_seconds_and_takes_the_highest_peak():
    measured = [("predictions", 10.0, 12.0, 300.0), ("atlas", 30.0, 50.0, 1500.0)]
    text = metrics_at_scale._document(measured, SMALL, "0.1, 0.2, 0.3")
    assert "| predictions | 10 s | 12 s | 300 MiB |" in text
    assert "| **all** | **40 s** | **62 s** | **1,500 MiB** |" in text
    assert "7 spaces, all 21 pairs" in text

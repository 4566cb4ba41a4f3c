import pytest

from polyspace.errors import RecordError
from polyspace.report import training
from polyspace.report.records.training import Curves

EPOCHS = (
    {"epoch": 0, "r2": 0.1, "r2/a": 0.0, "r2/b": 0.2},
    {"epoch": 1, "r2": 0.3, "r2/a": 0.1, "r2/b": 0.5, "loss": 1.0},
    {"epoch": 2, "r2": 0.2, "r2/a": 0.3, "r2/b": 0.1, "loss": 0.5},
)


def test_each_teacher_keeps_its_own_best_epoch():
    rows = training.converters(Curves(epochs=EPOCHS), ("a", "b"))
    assert [(row["teacher"], row["epoch kept"]) for row in rows] == [
        ("a", "2 of 2"),
        ("b", "1 of 2"),
    ]
    assert training.explained(Curves(epochs=EPOCHS), ("a", "b")) == pytest.approx(0.4)


def test_behind_a_trunk_one_epoch_is_kept_for_all():
    rows = training.converters(Curves(epochs=EPOCHS), ("a", "b"), together=True)
    assert [row["epoch kept"] for row in rows] == ["1 of 2", "1 of 2"]
    assert training.explained(Curves(epochs=EPOCHS), ("a", "b"), together=True) == 0.3


def test_of_equal_accuracies_the_likelier_epoch_is_kept_and_then_the_first():
    scores = [(0.5, -1.0), (0.6, -2.0), (0.6, -1.5), (0.6, -1.5)]
    curves = Curves(
        epochs=tuple(
            {"epoch": epoch, "top1": top1, "log_likelihood": likelihood}
            for epoch, (top1, likelihood) in enumerate(scores)
        )
    )
    (row,) = training.fusion(curves)
    assert row["epoch kept"] == "2 of 3"
    assert row["top-1 on the hold-out"] == "60.0 %"
    assert training.accuracy(curves) == 0.6


def test_curves_without_a_score_are_refused():
    with pytest.raises(RecordError, match="no epoch of these curves has top1 and log_likelihood"):
        training.accuracy(Curves(epochs=EPOCHS))

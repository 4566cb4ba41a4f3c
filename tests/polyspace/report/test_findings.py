import pytest

from polyspace.report import findings


def compared(low, high, p):
    difference = {"value": (low + high) / 2, "low": low, "high": high}
    return {"method": "fusion", "baseline": "student", "difference": difference, "mcnemar_p": p}


CASES = [
    (0.01, 0.09, 0.01, "better", "is distinguishable from none: the method is better."),
    (-0.09, -0.01, 0.01, "worse", "is distinguishable from none: the method is worse."),
    (-0.01, 0.09, 0.2, "open", "is not distinguishable from none."),
    (0.0, 0.0, 1.0, "open", "is not distinguishable from none."),
    (-0.01, 0.09, 0.02, "open", "which takes clips to be independent, says otherwise."),
    (0.01, 0.09, 0.2, "better", "though not by McNemar's test: the method is better."),
]


@pytest.mark.parametrize(("low", "high", "p", "verdict", "end"), CASES)
def test_the_verdict_follows_the_interval_and_says_where_the_tests_disagree(
    evaluation, low, high, p, verdict, end
):
    read = evaluation(comparison=compared(low, high, p))
    assert findings.verdict(read) == verdict
    assert findings.answer(read).endswith(end)


def test_the_answer_has_both_accuracies_with_intervals_and_the_difference(evaluation):
    read = evaluation(comparison=compared(0.03, 0.17, 0.012))
    own, other = (read.method(name).top1 for name in ("fusion", "student"))
    text = findings.answer(read)
    for top1 in (own, other):
        assert f"{top1.value:.1%}".replace("%", " %") in text
        assert f"[{top1.low * 100:.1f}, {top1.high * 100:.1f}]" in text
    assert "+10.0 points [+3.0, +17.0] (McNemar p = .012)" in text
    assert "24 clips from 8 groups never seen in training" in text


def test_controls_stand_beside_chance(evaluation):
    text = findings.scale(evaluation())
    assert text.startswith("Chance is 33.3 %")
    assert "equal parameters" in text
    assert "true teachers" not in text


def test_intervals_over_few_groups_are_said_to_be_rough(evaluation):
    read = evaluation()
    many = read.dataset.model_copy(update={"groups": 200})
    assert "rough" in findings.scale(read)
    assert "rough" not in findings.scale(read.model_copy(update={"dataset": many}))


def test_coverage_counts_what_was_quarantined(evaluation):
    assert findings.coverage(evaluation()).startswith("24 of 25 clips of the test split")
    whole = {"clips": 24, "evaluated": 24, "share": 1, "quarantined": {}}
    assert findings.coverage(evaluation(coverage=whole)).endswith("none was quarantined.")


def test_random_weights_are_a_warning_that_names_them(evaluation):
    assert findings.warnings(evaluation()) == []
    (warning,) = findings.warnings(evaluation(random_weights=["videomae"]))
    assert warning.startswith("Random weights: videomae.")


def test_a_method_whose_interval_reaches_chance_is_a_warning(evaluation):
    chance = evaluation().method("student").top1.low
    (warning,) = findings.warnings(evaluation(chance=chance))
    assert warning.startswith("Not distinguishable from guessing:")
    assert "student" in warning


def test_groups_that_training_saw_are_a_leak_and_no_longer_called_unseen(evaluation):
    read = evaluation()
    leaky = read.model_copy(
        update={"dataset": read.dataset.model_copy(update={"shared_groups": 2})}
    )
    assert any(text.startswith("Leak: 2 of 8 groups") for text in findings.warnings(leaky))
    assert "never seen" not in findings.answer(leaky)
    assert not any("Leak" in text for text in findings.warnings(read))

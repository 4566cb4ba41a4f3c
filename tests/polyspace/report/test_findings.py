import pytest

from polyspace.report import findings
from tests.support.records import comparison


def compared(low, high, p):
    return [{**comparison("student", (low + high) / 2, (high - low) / 2), "mcnemar_p": p}]


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
    read = evaluation(comparisons=compared(low, high, p))
    assert findings.verdict(read) == verdict
    assert findings.answer(read).endswith(end)


def test_the_answer_has_both_accuracies_with_intervals_and_the_difference(evaluation):
    read = evaluation(comparisons=compared(0.03, 0.17, 0.012))
    own, other = (read.method(name).top1 for name in ("fusion", "student"))
    text = findings.answer(read)
    for top1 in (own, other):
        assert f"{top1.value:.1%}".replace("%", " %") in text
        assert f"[{top1.low * 100:.1f}, {top1.high * 100:.1f}]" in text
    assert "+10.0 points [+3.0, +17.0] (McNemar p = .012)" in text
    assert "24 clips from 8 groups never seen in training" in text


def test_the_control_of_as_many_parameters_is_named_in_the_answer(evaluation):
    student = comparison("student", 0.1)
    ends = {
        0.2: "better there, too.",
        0.02: "can't be told apart.",
        -0.2: "better than the fusion.",
    }
    for value, end in ends.items():
        read = evaluation(comparisons=[student, comparison("equal_parameters", value)])
        text = findings.answer(read)
        assert "Against the student with as many parameters" in text
        assert text.endswith(end)


def test_controls_are_sorted_by_what_can_be_told_apart(evaluation):
    found = [comparison("student", 0.1, p=0.001), comparison("self_residual", 0.05, p=0.2)]
    text = findings.controls(evaluation(comparisons=found))
    assert "is distinguishably ahead of student" in text
    assert "can't be told apart from self residual" in text
    behind = [comparison("student", -0.1, p=0.001)]
    assert "distinguishably behind student" in findings.controls(evaluation(comparisons=behind))


def test_labels_that_fit_better_in_another_order_are_a_warning(evaluation):
    read = evaluation()
    wrong = {"accuracy": 0.1, "held_out": 0.9, "alarm": True}
    methods = [m.model_dump(mode="json") for m in read.methods]
    methods[0]["label_order"] = wrong
    (warning,) = findings.warnings(evaluation(methods=methods))
    assert warning.startswith("Labels out of order? Fusion would reach 90.0 % instead of 10.0 %")


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
    whole = {"clips": 24, "evaluated": 24, "share": 1, "quarantined": {}, "unlabelled": 0}
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
    leaky = evaluation(overlap={"groups": 2, "ids": 0, "features": 0, "examples": []})
    assert any(text.startswith("Leak: 2 of 8 groups") for text in findings.warnings(leaky))
    assert "never seen" not in findings.answer(leaky)
    assert not any("Leak" in text for text in findings.warnings(read))


def test_clips_that_are_in_both_splits_are_a_leak_with_examples(evaluation):
    leaky = evaluation(overlap={"groups": 0, "ids": 1, "features": 3, "examples": ["a.mp4"]})
    (warning,) = findings.warnings(leaky)
    assert warning.startswith("Leak: 3 of 24 test clips")
    assert "(a.mp4)" in warning


def test_a_teacher_that_was_trained_on_the_data_set_is_a_warning_an_unknown_one_is_not(evaluation):
    flag = {"backbone": "videomae", "trained_on": "ucf101", "source": "its name"}
    known = {**flag, "level": "labels", "words": "videomae was trained on clips of ucf101"}
    unknown = {**flag, "level": "unknown", "words": "nobody says"}
    (warning,) = findings.warnings(evaluation(contamination=[known, unknown]))
    assert warning == "Contaminated: videomae was trained on clips of ucf101 (its name)."

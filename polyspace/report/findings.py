"""What the evaluation says, in sentences that stay true when it isn't what was hoped for."""

from collections.abc import Iterator

from polyspace.report import words
from polyspace.report.blocks import Verdict
from polyspace.report.records.evaluation import Evaluation
from polyspace.report.records.methods import Comparison, Method
from polyspace.report.records.protocol import Contamination

FEW_GROUPS = 20
"""Groups below which a bootstrap over them is said to be rough.

Source: Cameron, Gelbach & Miller (2008), Bootstrap-based improvements for inference with clustered
errors, which counts five to thirty as few.
"""
LEVEL = 0.05
"""p-values below are called distinguishable."""
EQUALS = "equal_parameters"
"""The control that has as many parameters as the whole method."""


def verdict(evaluation: Evaluation) -> Verdict:
    """Judge the difference to the student by its interval."""
    return _verdict(evaluation.comparison)


def _verdict(compared: Comparison) -> Verdict:
    if compared.difference.low > 0:
        return "better"
    return "worse" if compared.difference.high < 0 else "open"


def answer(evaluation: Evaluation) -> str:
    """Say whether the method beats its baseline, and how sure that is."""
    compared = evaluation.comparison
    own, other = evaluation.method(compared.method), evaluation.method(compared.baseline)
    return (
        f"{words.method(own.name).capitalize()} reaches {_top1(own)} on {_clips(evaluation)}; "
        f"the {words.method(other.name)} alone {_top1(other)}. "
        f"The difference of {words.points(compared.difference.value)} points "
        f"{words.signed_interval(compared.difference)} "
        f"(McNemar {words.probability(compared.mcnemar_p)}) {_judgement(evaluation)}."
        f"{_against_equals(evaluation)}"
    )


def _against_equals(evaluation: Evaluation) -> str:
    """Say the same of the control that has as many parameters: more capacity is no finding."""
    found = [c for c in evaluation.comparisons if c.baseline == EQUALS]
    if not found:
        return ""
    (compared,) = found
    said = {
        "better": "the fusion is better there, too",
        "worse": "that control is better than the fusion",
        "open": "the two can't be told apart",
    }
    return (
        f" Against the student with as many parameters ({_top1(evaluation.method(EQUALS))}) it is "
        f"{words.points(compared.difference.value)} points "
        f"{words.signed_interval(compared.difference)}: {said[_verdict(compared)]}."
    )


def controls(evaluation: Evaluation) -> str:
    """Sum up the comparisons with everything that runs without teachers."""
    by: dict[Verdict, list[str]] = {"better": [], "worse": [], "open": []}
    for compared in evaluation.comparisons:
        sure = compared.adjusted_p < LEVEL
        side: Verdict = "better" if compared.difference.value > 0 else "worse"
        by[side if sure else "open"].append(words.method(compared.baseline))
    said = {
        "better": "is distinguishably ahead of",
        "worse": "is distinguishably behind",
        "open": "can't be told apart from",
    }
    parts = [f"{said[side]} {words.listed(names)}" for side, names in by.items() if names]
    count = len(evaluation.comparisons)
    return (
        f"A translation is computed from the student alone, so it can hold nothing about a clip "
        f"that the student lacks: a gain has to come from what the converters learned of the "
        f"teachers, and controls that learned nothing of them show whether it does. Corrected for "
        f"{count} comparisons, the fusion {'; it '.join(parts)}."
    )


def scale(evaluation: Evaluation) -> str:
    """Say what the figures are to be measured against."""
    parts = [
        f"Chance is {words.percent(evaluation.chance)}",
        f"naming the commonest class of the training split gives "
        f"{words.percent(evaluation.majority)}",
    ]
    parts += [
        f"the control “{words.method(method.name)}” ({method.words}) gives {_top1(method)}"
        for method in evaluation.methods
        if method.kind == "control"
    ]
    few = evaluation.dataset.groups < FEW_GROUPS
    rough = f" Intervals from {evaluation.dataset.groups} groups are rough themselves."
    return "; ".join(parts) + "." + (rough if few else "")


def coverage(evaluation: Evaluation) -> str:
    """Say how many of the split's clips the figures speak of."""
    covered = evaluation.coverage
    text = (
        f"{covered.evaluated} of {covered.clips} clips of the {evaluation.dataset.split} split "
        f"were evaluated ({words.percent(covered.share)})"
    )
    count = len(covered.quarantined)
    left = (
        f" {covered.unlabelled} clips without a label were left out." if covered.unlabelled else ""
    )
    if not count:
        return f"{text}; none was quarantined.{left}"
    return f"{text}; {count} quarantined. Counted as wrong, they give the column “covered”.{left}"


def warnings(evaluation: Evaluation) -> list[str]:
    """Give what a reader must know before believing any figure."""
    found: list[str] = []
    if evaluation.random_weights:
        names = ", ".join(evaluation.random_weights)
        found.append(
            f"Random weights: {names}. These backbones were never trained; "
            "figures that involve them show that the pipeline runs, and nothing else."
        )
    found += _leaks(evaluation)
    found += [f"Contaminated: {flag.words} ({flag.source})." for flag in _seen(evaluation)]
    if guessing := [words.method(m.name) for m in _judged(evaluation) if _guesses(m, evaluation)]:
        found.append(
            f"Not distinguishable from guessing: {', '.join(guessing)}. "
            "Check the labels and their order before reading on."
        )
    found += [
        f"Labels out of order? {words.method(method.name).capitalize()} would reach "
        f"{words.percent(method.label_order.held_out)} instead of "
        f"{words.percent(method.label_order.accuracy)} if the classes were renamed: compare the "
        "lists of classes of both splits."
        for method in _judged(evaluation)
        if method.label_order.alarm
    ]
    return found


def _leaks(evaluation: Evaluation) -> Iterator[str]:
    """Say what both splits have."""
    shared = evaluation.overlap
    if shared.groups:
        yield (
            f"Leak: {shared.groups} of {evaluation.dataset.groups} groups have clips in the "
            "training split, too; every figure may be too high."
        )
    if clips := max(shared.ids, shared.features):
        yield (
            f"Leak: {clips} of {evaluation.coverage.evaluated} test clips are in the training "
            f"split, too, or look exactly like one that is ({', '.join(shared.examples)})."
        )


def _seen(evaluation: Evaluation) -> list[Contamination]:
    """Give the flags that make figures doubtful: what is unknown stands in the protocol only."""
    return [
        flag for flag in evaluation.contamination if flag.level not in ("unknown", "classifier")
    ]


def _judgement(evaluation: Evaluation) -> str:
    """Judge by the interval; where McNemar's test says otherwise, say that too."""
    judged = verdict(evaluation)
    significant = evaluation.comparison.mcnemar_p < 0.05
    if judged == "open":
        clash = ", though McNemar's test, which takes clips to be independent, says otherwise"
        return "is not distinguishable from none" + (clash if significant else "")
    clash = " by the interval over groups, though not by McNemar's test"
    side = "the method is better" if judged == "better" else "the method is worse"
    return f"is distinguishable from none{'' if significant else clash}: {side}"


def _top1(method: Method) -> str:
    return f"{words.percent(method.top1.value)} {words.interval(method.top1)}"


def _clips(evaluation: Evaluation) -> str:
    clips = f"{evaluation.coverage.evaluated} clips from {evaluation.dataset.groups} groups"
    return clips if evaluation.overlap.groups else f"{clips} never seen in training"


def _judged(evaluation: Evaluation) -> list[Method]:
    compared = evaluation.comparison
    return [evaluation.method(compared.method), evaluation.method(compared.baseline)]


def _guesses(method: Method, evaluation: Evaluation) -> bool:
    return method.top1.low <= evaluation.chance

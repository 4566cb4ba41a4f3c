"""What the evaluation says, in sentences that stay true when it isn't what was hoped for."""

from typing import Literal

from polyspace.report import words
from polyspace.report.records import Evaluation, Method

Verdict = Literal["better", "worse", "open"]
"""open: the interval of the difference contains zero."""

FEW_GROUPS = 20
"""Groups below which a bootstrap over them is said to be rough.

Source: Cameron, Gelbach & Miller (2008), Bootstrap-based improvements for inference with clustered
errors, which counts five to thirty as few.
"""


def verdict(evaluation: Evaluation) -> Verdict:
    """Judge the difference by its interval over groups."""
    difference = evaluation.comparison.difference
    if difference.low > 0:
        return "better"
    return "worse" if difference.high < 0 else "open"


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
    if not count:
        return f"{text}; none was quarantined."
    return f"{text}; {count} quarantined. Counted as wrong, they give the column “covered”."


def warnings(evaluation: Evaluation) -> list[str]:
    """Give what a reader must know before believing any figure."""
    found: list[str] = []
    if evaluation.random_weights:
        names = ", ".join(evaluation.random_weights)
        found.append(
            f"Random weights: {names}. These backbones were never trained; "
            "figures that involve them show that the pipeline runs, and nothing else."
        )
    if shared := evaluation.dataset.shared_groups:
        found.append(
            f"Leak: {shared} of {evaluation.dataset.groups} groups have clips in the training "
            "split, too; every figure may be too high."
        )
    if guessing := [words.method(m.name) for m in _judged(evaluation) if _guesses(m, evaluation)]:
        found.append(
            f"Not distinguishable from guessing: {', '.join(guessing)}. "
            "Check the labels and their order before reading on."
        )
    return found


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
    return clips if evaluation.dataset.shared_groups else f"{clips} never seen in training"


def _judged(evaluation: Evaluation) -> list[Method]:
    compared = evaluation.comparison
    return [evaluation.method(compared.method), evaluation.method(compared.baseline)]


def _guesses(method: Method, evaluation: Evaluation) -> bool:
    return method.top1.low <= evaluation.chance

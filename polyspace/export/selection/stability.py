"""How much a choice hangs on its weights, and which checkpoints nothing else beats."""

from collections.abc import Iterator, Sequence

from polyspace.export.selection.policy import Policy, Tie
from polyspace.export.selection.scoring import Judged, judge, ranked
from polyspace.report.records.selection import Front, Variation

FACTORS = (0.5, 1.5)


def variations(judged: Sequence[Judged], policy: Policy) -> Iterator[Variation]:
    """Choose again with each weight halved, and half as large again, the others as they are."""
    before = next(ranked(judged, policy)).step
    for place, term in enumerate(policy.objective):
        for factor in FACTORS:
            terms = list(policy.objective)
            terms[place] = term.model_copy(update={"weight": factor * term.weight})
            other = policy.model_copy(update={"objective": tuple(terms)})
            again = [judge(one.found, one.metrics, other) for one in judged]
            yield _variation(again, other, term.metric, factor, before)


def _variation(
    judged: Sequence[Judged], policy: Policy, metric: str, factor: float, before: int
) -> Variation:
    winner, *others = ranked(judged, policy)
    # Who passes decides before any score: a winner is ahead only of its like.
    rivals = [one.score for one in others if one.passes == winner.passes]
    return Variation(
        metric=metric,
        factor=factor,
        step=winner.step,
        changed=winner.step != before,
        lead=winner.score - max(rivals) if rivals else None,
    )


def front(judged: Sequence[Judged], policy: Policy) -> Front | None:
    """Give the checkpoints that pass and that none that passes beats in the first two metrics.

    The metrics are the objective's, then what breaks ties; None if there is only one.
    """
    axes = _axes(policy)
    if len(axes) < 2:
        return None
    first, second = axes[:2]
    places = {
        one.step: (first.gain(one.metrics), second.gain(one.metrics))
        for one in judged
        if one.passes
    }
    return Front(
        metrics=(first.metric, second.metric),
        directions=(first.direction, second.direction),
        steps=tuple(
            step
            for step, place in places.items()
            if not any(_beats(other, place) for other in places.values())
        ),
    )


def _axes(policy: Policy) -> list[Tie]:
    """Give the metrics that decide, each once."""
    scored = {term.metric for term in policy.objective}
    return [*policy.objective, *(tie for tie in policy.tie_break if tie.metric not in scored)]


def _beats(other: tuple[float, float], place: tuple[float, float]) -> bool:
    """Say whether a place is at least as good in both, and better in one."""
    return other != place and all(o >= p for o, p in zip(other, place, strict=True))

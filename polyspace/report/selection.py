"""The README of a selection: which checkpoint won, why, by how much, and how to load it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from polyspace.report import markdown, words
from polyspace.report.blocks import Block, Code, Listing, Paragraph, Picture, Section, Table
from polyspace.report.figures import (
    selection_comparison,
    selection_marks,
    selection_pareto,
    selection_sensitivity,
)
from polyspace.report.records.selection import Candidate, Judged, Selection, Term


def pictures(selection: Selection) -> tuple[Picture, ...]:
    """Draw what there is to draw; a single metric has no front."""
    drawn = [
        Picture(
            "checkpoint_comparison",
            selection_comparison.draw(selection),
            "Every checkpoint; the chosen one has a dark rim. What lies beyond a limit is shaded.",
            "Metrics and score of every checkpoint",
        )
    ]
    if selection.pareto:
        drawn.append(
            Picture(
                "pareto",
                selection_pareto.draw(selection, selection.pareto),
                "On the front are the checkpoints that none other beats in both metrics.",
                "Checkpoints by the first two metrics",
            )
        )
    drawn.append(
        Picture(
            "weight_sensitivity",
            selection_sensitivity.draw(selection),
            "Who wins where one weight is half of what it was, or half as large again.",
            "Winners under other weights",
        )
    )
    return tuple(drawn)


def readme(
    selection: Selection,
    *,
    loading: str,
    pictures: Sequence[Picture] = (),
    sections: Sequence[Section] = (),
) -> str:
    """Write the README.

    Args:
        selection: The record.
        loading: Code that loads what lies beside the README.
        pictures: What lies there as PNG.
        sections: What else there is to say, before the pictures.
    """
    parts = [
        Section("answer", f"Step {selection.best_checkpoint.step}", list(_answer(selection))),
        Section("load", "How to load it", [Listing(loading)]),
        *sections,
        Section("all", "All checkpoints", list(_all(selection))),
        *([Section("pictures", "Pictures", list(pictures))] if pictures else []),
    ]
    body = "\n\n".join(markdown.section(part, ".") for part in parts)
    head = f"# Best checkpoint: {selection.published}\n\n{markdown.escape(sentence(selection))}"
    return f"{head}\n\n{body}\n"


def sentence(selection: Selection) -> str:
    """Say in one line what was chosen, out of how many, and whether that was close."""
    best, count = selection.best_checkpoint, len(selection.all_checkpoints)
    epoch = "" if best.epoch is None else f"epoch {best.epoch}, "
    nearest = "" if best.passes else ", which does NOT fulfil the constraints but comes nearest"
    said = (
        f"step {best.step} ({epoch}{Path(best.path).name}) of {count} checkpoints, score "
        f"{number(best.score.composite_score)}{nearest}"
    )
    missed = [f"{t.metric} {t.op} {t.limit:g}" for t in best.targets if not t.met]
    return f"{said}; missed: {words.listed(missed)}" if missed else said


def number(value: float) -> str:
    """Write a metric with four significant digits."""
    return f"{value:.4g}".replace("-", words.MINUS)


def _answer(selection: Selection) -> Iterator[Block]:
    best = selection.best_checkpoint
    yield Paragraph(f"Wanted: {selection.export_info.selection_criteria}.")
    yield Table(
        ("part of the score", "is better", "weight", "value", "adds", "improvement"),
        [_term(term, best) for term in selection.policy.objective],
        text=2,
    )
    if best.constraints or best.targets:
        held = [_judged("constraint", one) for one in best.constraints]
        hoped = [_judged("target", one) for one in best.targets]
        yield Table(("condition", "kind", "result", "value"), [*held, *hoped], text=3)
    yield Paragraph(
        f"Improvements are over {best.improvements_over}. {_stability(selection)} The best of "
        f"{len(selection.all_checkpoints)} checkpoints is a hopeful figure: it was chosen by "
        f"these numbers.",
        quiet=True,
    )


def _term(term: Term, best: Candidate) -> tuple[str, ...]:
    value = best.values[term.metric]
    gain = value if term.direction == "up" else -value
    key = term.metric.removeprefix("d_") if best.improvements_over == "v1" else term.metric
    better = best.improvements.get(key)
    return (
        selection_marks.title(term.metric),
        "higher" if term.direction == "up" else "lower",
        f"{term.weight:g}",
        number(value),
        number(term.weight * gain + 0.0),
        words.NONE if better is None else f"{'+' if better >= 0 else ''}{number(better)}",
    )


def _judged(kind: str, one: Judged) -> tuple[str | Code, ...]:
    met = {"constraint": ("PASS", "FAIL"), "target": ("MET", "MISSED")}[kind]
    condition = Code(f"{one.metric} {one.op} {one.limit:g}")
    return condition, kind, met[0] if one.met else met[1], number(one.value)


def _stability(selection: Selection) -> str:
    if len(selection.policy.objective) == 1:
        return "With one term in the score, its weight decides nothing."
    changed = [one for one in selection.sensitivity if one.changed]
    if not changed:
        return "The same checkpoint wins with any one weight halved, or half as large again."
    told = [f"step {one.step} with {one.metric} times {one.factor:g}" for one in changed]
    return f"Another would win with other weights: {words.listed(told)}."


def _all(selection: Selection) -> Iterator[Block]:
    candidates = selection.all_checkpoints
    policy = selection.policy
    parts = (*policy.objective, *policy.constraints, *policy.targets, *policy.tie_break)
    names = list(dict.fromkeys(part.metric for part in parts))
    head = ("step", "epoch", "constraints", "score", *map(selection_marks.title, names))
    rows = [_row(candidate, names) for candidate in candidates]
    steps = [candidate.step for candidate in candidates]
    yield Table(head, rows, marked=steps.index(selection.best_checkpoint.step))
    if selection.unmeasured:
        yield Paragraph(f"Not measured, and so no candidates: {', '.join(selection.unmeasured)}.")


def _row(candidate: Candidate, names: Sequence[str]) -> tuple[str, ...]:
    epoch = words.NONE if candidate.epoch is None else str(candidate.epoch)
    passes = "PASS" if candidate.passes else "FAIL"
    values = (number(candidate.values[name]) for name in names)
    return str(candidate.step), epoch, passes, number(candidate.score.composite_score), *values

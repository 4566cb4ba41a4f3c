"""What inference costs on the machine that evaluated, and what accuracy it buys."""

from collections.abc import Mapping

from polyspace.report import words
from polyspace.report.blocks import Block, Inline, Noted, Paragraph, Picture, Section, Table
from polyspace.report.figures import cost as figure
from polyspace.report.records.evaluation import Evaluation
from polyspace.report.records.inference import Cost, PathCost, Span

PARTS = ("decode", "preprocess", "encode", "classify", "total")


def section(evaluation: Evaluation, cost: Cost) -> Section:
    """Show accuracy against time, then everything that was measured."""
    blocks: list[Block] = [
        *_picture(evaluation, cost),
        _table(cost),
        Paragraph(_basis(cost), quiet=True),
    ]
    missing = {"": cost.missing, **{path.name: path.missing for path in cost.paths}}
    gaps = [
        (words.method(name), what, why)
        for name, all_ in missing.items()
        for what, why in all_.items()
    ]
    if gaps:
        blocks += [Paragraph("Not measured:"), Table(("of", "what", "why"), gaps, text=3)]
    return Section("cost", "Cost of inference", blocks)


def _picture(evaluation: Evaluation, cost: Cost) -> list[Block]:
    accuracies = {method.name: method.top1 for method in evaluation.methods}
    over = "latency" if figure.points(cost, accuracies, "latency") else "flops"
    if not figure.points(cost, accuracies, over):
        return []
    axis = "time from file to class of one clip" if over == "latency" else "operations of one clip"
    caption = (
        f"Top-1 accuracy against {axis}, on a scale of powers of ten, with 95 % intervals and the "
        f"middle eight tenths of the repeats. n = {cost.videos} videos timed; "
        f"{words.basis(evaluation)}."
    )
    drawn = figure.draw(cost, accuracies, over)
    return [Picture("cost", drawn, caption, "Accuracy against cost")]


def _table(cost: Cost) -> Table:
    timed = [part for part in PARTS if any(part in path.latency_ms for path in cost.paths)]
    head = ("path", *timed, "clips/s")
    rows = [_row(path, timed) for path in cost.paths]
    own = [path.name for path in cost.paths].index("fusion")
    return Table((*head, "FLOPs", "memory", "parameters"), rows, marked=own)


def _row(path: PathCost, timed: list[str]) -> tuple[Inline, ...]:
    return (
        Noted(words.method(path.name), path.words),
        *(_milliseconds(path.latency_ms, part) for part in timed),
        words.NONE if path.clips_per_second is None else f"{path.clips_per_second:.1f}",
        words.NONE if path.flops is None else words.count(path.flops),
        words.NONE if path.peak_memory_bytes is None else words.size(path.peak_memory_bytes),
        words.NONE if path.parameters is None else f"{path.parameters:,}",
    )


def _milliseconds(latency: Mapping[str, Span], part: str) -> str:
    return f"{latency[part].median:.1f}" if part in latency else words.NONE


def _basis(cost: Cost) -> str:
    """Say what the figures hold for."""
    repeats = max((path.repeats for path in cost.paths), default=0)
    return (
        f"Milliseconds: medians of {repeats} repeats of one clip at a time, over {cost.videos} "
        f"videos; clips/s in batches of {cost.batch}. {cost.device}, {cost.threads} threads, "
        f"{cost.dtype}. "
        f"FLOPs: {cost.flops} Memory: {cost.memory}"
    )

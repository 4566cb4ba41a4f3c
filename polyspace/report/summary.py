"""The evaluation in a terminal: a table and the sentence under it."""

from rich import box
from rich.table import Table
from rich.text import Text

from polyspace.report import findings, words
from polyspace.report.records.evaluation import Evaluation
from polyspace.report.records.methods import Method

STYLES = {"method": "bold cyan", "baseline": "", "control": "magenta", "upper bound": "green"}
"""How rows of each kind are written."""


def table(record: Evaluation) -> Table:
    """Lay out every method, best first, with intervals and what it is."""
    of = record.dataset
    view = Table(
        title=Text(f"{of.name}, {of.split}: {record.coverage.evaluated} clips, {of.groups} groups"),
        caption=Text(f"intervals: {record.interval}"),
        box=box.SIMPLE_HEAD,
    )
    for name in ("method", "kind"):
        view.add_column(name, no_wrap=True)
    for name in ("top-1", "interval", "top-5", "covered", "parameters"):
        view.add_column(name, justify="right", no_wrap=True)
    for method in sorted(record.methods, key=lambda row: -row.top1.value):
        view.add_row(*_cells(method), style=STYLES[method.kind])
    view.add_section()
    view.add_row("chance", "", words.percent(record.chance))
    return view


def sentence(record: Evaluation) -> str:
    """Say whether fusion beats the student alone, and what to know before believing it."""
    return " ".join([*findings.warnings(record), findings.answer(record)])


def _cells(method: Method) -> tuple[Text | str, ...]:
    """Names come from the record: as `Text`, square brackets in them are no markup."""
    return (
        Text(words.method(method.name)),
        method.kind,
        words.percent(method.top1.value),
        Text(words.interval(method.top1)),
        words.percent(method.top5.value),
        words.percent(method.covered_top1),
        f"{method.parameters:,}",
    )

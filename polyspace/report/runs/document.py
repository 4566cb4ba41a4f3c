"""The report on several evaluations: the same answer, table and picture as on one."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from polyspace.report import findings, output, words
from polyspace.report.blocks import Answer, Code, Document, Paragraph, Picture, Section, Table
from polyspace.report.figures import runs
from polyspace.report.records.methods import Comparison
from polyspace.report.runs.compared import RESAMPLES, Compared, Run, Standing, compare


def write(found: Sequence[Run], out: Path) -> Path:
    """Compare, and write compare.html, .md with its picture, .csv and .json; give the first.

    Raises:
        RecordError: See `compare`.
    """
    compared = compare(found)
    text = json.dumps(compared.model_dump(mode="json"), indent=1)
    return output.write(compose(compared), out, "compare", {"json": text, "csv": table(compared)})


def compose(found: Compared) -> Document:
    """Put the report together."""
    best = max(found.runs, key=lambda run: run.top1.value)
    left = f"; {found.left_out} that not every run evaluated are left out" if found.left_out else ""
    stores = ", ".join(name[:12] for name in found.fingerprints)
    basis = f"n = {found.clips} clips in {found.groups} groups{left}; features {stores}"
    return Document(
        title=f"PolySpace: {len(found.runs)} runs on {found.dataset}",
        over=f"{found.split} split · {words.moment(found.created)} · {basis}",
        warnings=_warnings(found),
        answer=Answer(
            question="Which of these runs is better?",
            said=_said(found, best),
            verdict="open",
            figures={run.name: words.percent(run.top1.value) for run in found.runs},
        ),
        command=f"polyspace compare {' '.join(run.folder for run in found.runs)}",
        sections=(_runs(found, basis), _provenance(found)),
    )


def table(found: Compared) -> str:
    """Give a line for every run as CSV, shares as numbers."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ("run", "top1", "low", "high", "student", "difference", "low", "high", "p", "adjusted_p")
    )
    for run in found.runs:
        own = run.top1
        writer.writerow((run.name, own.value, own.low, own.high, run.student.value, *_numbers(run)))
    return text.getvalue()


def _numbers(run: Standing) -> tuple[float | str, ...]:
    """Give the difference to the first run; nothing of the first run itself."""
    found = run.difference
    if found is None:
        return ("",) * 5
    apart = found.difference
    return apart.value, apart.low, apart.high, found.p, found.adjusted_p


def _said(found: Compared, best: Standing) -> str:
    told = [
        run for run in found.runs if run.difference and run.difference.adjusted_p < findings.LEVEL
    ]
    first = found.runs[0].name
    parts = [
        f"{run.name} is {_ahead(run.difference.difference.value)} {first}"
        for run in told
        if run.difference
    ]
    tail = "; ".join(parts) if parts else f"none can be told apart from {first}"
    count = len(found.runs) - 1
    corrected = f"corrected for {count} comparisons, " if count > 1 else ""
    return (
        f"{best.name} has the highest top-1, {words.percent(best.top1.value)} "
        f"{words.interval(best.top1)}; {corrected}{tail}."
    )


def _ahead(difference: float) -> str:
    return f"{abs(difference) * 100:.1f} points {'ahead of' if difference > 0 else 'behind'}"


def _warnings(found: Compared) -> list[str]:
    warnings: list[str] = []
    if len(found.fingerprints) > 1:
        warnings.append(
            "The runs read different test stores: their features, and with them their clips, may "
            "differ in more than what was trained."
        )
    return warnings


def _runs(found: Compared, basis: str) -> Section:
    head = ("run", "top-1", "interval", "student alone", "against the first", "interval")
    rows = [
        (
            run.name,
            words.percent(run.top1.value),
            words.interval(run.top1),
            words.percent(run.student.value),
            *_told(run.difference),
            words.decimal(run.ece),
        )
        for run in found.runs
    ]
    counts = sorted({run.seeds for run in found.runs})
    seeds = f"{' or '.join(map(str, counts))} seeds a run"
    caption = (
        f"Top-1 of each run's fusion (blue) and of its student alone (grey), with 95 % intervals "
        f"by a bootstrap over groups and seeds, {RESAMPLES} resamples. {basis}; {seeds}."
    )
    return Section(
        "runs",
        "Runs",
        [
            Picture("compare", runs.draw(found.runs), caption, "Accuracies with intervals"),
            Table((*head, "p, corrected", "ECE"), rows),
            Paragraph(
                "Differences are paired clip by clip, each run as the mean over its seeds; p is "
                "two-sided and corrected by Holm's procedure.",
                quiet=True,
            ),
        ],
    )


def _told(compared: Comparison | None) -> tuple[str, str, str]:
    if compared is None:
        return words.NONE, "", ""
    return (
        words.points(compared.difference.value),
        words.signed_interval(compared.difference),
        words.probability(compared.adjusted_p),
    )


def _provenance(found: Compared) -> Section:
    rows = [
        (
            run.name,
            run.student_name,
            ", ".join(run.teachers),
            Code(run.fingerprint[:12]),
            str(run.seeds),
            f"{run.parameters:,}",
        )
        for run in found.runs
    ]
    head = ("run", "student", "teachers", "features", "seeds", "parameters")
    return Section("provenance", "Provenance", [Table(head, rows, text=4)])

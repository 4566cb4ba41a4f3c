"""What an ablation came to, for people: one sentence, one table, and the table as CSV."""

import csv
import io
from collections.abc import Iterator, Sequence

from rich.table import Table

from polyspace.report import words
from polyspace.report.records.ablation import SURE, Ablation, Difference, Estimate, Row

FEW = 20
"""Groups below which a bootstrap over them is said to be narrow. Source: Cameron, Gelbach & Miller
(2008), bootstrap-based improvements for inference with clustered errors."""
SHOWN = ("group", "variation", "top-1", "to the base", "p (Holm)", "over the student")
"""Columns in a terminal."""


def sentence(found: Ablation) -> str:
    """Say what was found, and how far it goes."""
    base = found.rows[0]
    if base.top1 is None:
        return f"The base came to no score: {base.gap}."
    compared = [row for row in found.rows if row.to_base]
    sure = [row.name for row in compared if row.is_sure]
    gaps = sum(1 for row in found.rows if row.gap)
    return (
        f"The base is right on {_with_interval(base.top1)} of {found.dataset} {found.split}. "
        f"Of {len(compared)} rows that are compared with it, {len(sure) or 'none'} "
        f"{'differs' if len(sure) < 2 else 'differ'} beyond chance (Holm, {SURE * 100:.0f} %)"
        f"{': ' if sure else ''}{'; '.join(sure)}."
        f"{f' {gaps} could not be measured.' if gaps else ''}"
    )


def basis(found: Ablation) -> str:
    """Say what every figure rests on."""
    unread = found.coverage - found.clips
    return (
        f"n = {found.clips} clips of {found.groups} groups"
        f"{f' ({unread} more could not be read)' if unread else ''}, {found.looks} looks at them; "
        f"seeds {', '.join(map(str, found.seeds))}; chance {words.percent(found.chance)}; student "
        f"{found.student}, teachers {', '.join(found.teachers)}; test store "
        f"{found.fingerprint[:12]}, train store {found.train_fingerprint[:12]}; {found.device}"
    )


def rows(found: Ablation) -> Iterator[dict[str, str]]:
    """Give the table as texts by column."""
    for row in found.rows:
        yield {
            "group": row.group,
            "variation": row.name,
            "top-1": f"not measured: {row.gap}" if row.gap else _share(row.top1),
            "to the base": _apart(row.to_base),
            "p (Holm)": words.NONE if row.holm_p is None else _p(row.holm_p),
            "over the student": _apart(row.over_student),
            **{f"R² {name}": _r2(row, name) for name in found.teachers},
            "parameters": words.NONE if row.parameters is None else f"{row.parameters:,}",
            "seconds": words.NONE if row.seconds is None else f"{row.seconds:.0f}",
        }


def markdown(found: Ablation, picture: str) -> str:
    """Write the page: what was found, on what, the table, and where the picture is."""
    settings = ", ".join(f"`{name}` {value}" for name, value in found.base.items())
    return "\n".join(
        (
            f"# Ablation on {found.dataset}",
            "",
            sentence(found),
            "",
            f"`{found.command}`",
            "",
            f"{basis(found)}.",
            "",
            f"Base: {settings}.",
            "",
            *lines(found),
            "",
            notes(found),
            "",
            f"![top-1 of every variation, and its difference to the base]({picture})",
            "",
        )
    )


def lines(found: Ablation) -> Iterator[str]:
    """Write the table in Markdown; a group's name stands with its first row."""
    cells = _grouped(found)
    yield _line(list(cells[0]))
    yield _line(["---"] * len(cells[0]))
    for row, texts in zip(found.rows, cells, strict=True):
        p = texts["p (Holm)"]
        yield _line(list({**texts, "p (Holm)": f"**{p}**" if row.is_sure else p}.values()))


def notes(found: Ablation) -> str:
    """Say how the table is to be read."""
    few = f", and {found.groups} groups are few: such intervals are too narrow"
    return (
        f"Top-1 is the mean over seeds; differences are in points, paired by clip and seed. "
        f"Intervals: 95 %, bootstrap over groups and seeds, {found.resamples} resamples"
        f"{few if found.groups < FEW else ''}. p is two-sided and corrected for all differences to "
        f"the base (Holm). R² of the converters is on the hold-out, in the space that the "
        f"normaliser makes: rows of other normalisers can't be compared by it. Seconds are of "
        f"training converters and fusion once. To choose a setting by this table is to select on "
        f"test."
    )


def comma_separated(found: Ablation) -> str:
    """Write the table as CSV, with plain numbers; what there is nothing of stays empty."""
    teachers = found.teachers
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(
        [
            *("group", "variation", "changed", "gap", "top1", "top1_low", "top1_high"),
            *(f"top1_seed_{seed}" for seed in found.seeds),
            *("to_base", "to_base_low", "to_base_high", "p", "holm_p"),
            *("over_student", "over_student_low", "over_student_high", "over_student_p"),
            *(f"r2_{name}" for name in teachers),
            *("held_out_top1", "parameters", "seconds"),
        ]
    )
    for row in found.rows:
        changed = " ".join(f"{name}={value}" for name, value in row.changed.items())
        apart, over = row.to_base, row.over_student
        writer.writerow(
            [
                *(row.group, row.name, changed, row.gap, *_ends(row.top1)),
                *(row.seeds or [None] * len(found.seeds)),
                *(*_ends(apart), apart and apart.p, row.holm_p),
                *(*_ends(over), over and over.p),
                *(row.r2.get(name) for name in teachers),
                *(row.held_top1, row.parameters, row.seconds),
            ]
        )
    return buffer.getvalue()


def table(found: Ablation) -> Table:
    """Draw the table for a terminal."""
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for name in SHOWN:
        drawn.add_column(name, justify="left" if name in ("group", "variation") else "right")
    for row, texts in zip(found.rows, _grouped(found), strict=True):
        # Why there is a gap was said when it was met.
        cells = {**texts, "top-1": "not measured"} if row.gap else texts
        drawn.add_row(*(cells[name] for name in SHOWN))
    return drawn


def _grouped(found: Ablation) -> list[dict[str, str]]:
    """Give the table, a group's name with its first row alone."""
    texts = list(rows(found))
    before = ["", *(row["group"] for row in texts[:-1])]
    return [
        {**row, "group": "" if row["group"] == last else row["group"]}
        for row, last in zip(texts, before, strict=True)
    ]


def _share(estimate: Estimate | None) -> str:
    return words.NONE if estimate is None else _with_interval(estimate)


def _with_interval(share: Estimate) -> str:
    return f"{words.percent(share.value)} [{share.low * 100:.1f}, {share.high * 100:.1f}]"


def _apart(difference: Difference | None) -> str:
    if difference is None:
        return words.NONE
    ends = f"[{words.points(difference.low)}, {words.points(difference.high)}]"
    return f"{words.points(difference.value)} {ends}"


def _r2(row: Row, teacher: str) -> str:
    value = row.r2.get(teacher)
    return words.NONE if value is None else words.decimal(value)


def _p(value: float) -> str:
    """Write a p-value without its letter."""
    return words.probability(value).removeprefix("p ").removeprefix("= ")


def _ends(estimate: Estimate | None) -> Sequence[float | None]:
    return (None,) * 3 if estimate is None else (estimate.value, estimate.low, estimate.high)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

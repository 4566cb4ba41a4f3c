"""Reading validation_metrics.csv: every cell is a finite number, or the table is refused."""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from polyspace.engine.validation import CHECKPOINT, EPOCH, IDENTITY, SHA256, STEP
from polyspace.errors import SelectionError


@dataclass(frozen=True)
class Row:
    """One checkpoint's metrics, as they stand in the table."""

    step: int
    epoch: int | None
    metrics: Mapping[str, float]
    checkpoint: str | None
    """Name of its file, where the table has it."""
    sha256: str | None
    """Of its bytes, where the table has it."""


@dataclass(frozen=True)
class Table:
    """All rows, in the order of their steps."""

    path: Path
    rows: tuple[Row, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Give the names of the metrics."""
        return tuple(self.rows[0].metrics)


def read(path: Path) -> Table:
    """Read a table of metrics.

    Columns are ``step``, and where there are any ``epoch``, ``checkpoint`` and ``sha256``; every
    other column is a metric. A spreadsheet's ``500.0`` is step 500.

    Raises:
        SelectionError: It is missing or empty, has no steps or no metrics, or a cell that is not
            what its column holds; the message says which.
    """
    header, lines = _lines(path)
    _check_header(path, header)
    rows = tuple(_row(path, number, header, cells) for number, cells in lines)
    if not rows:
        raise SelectionError(f"{path} has no rows: validate the checkpoints first")
    _check_once(path, [str(row.step) for row in rows], STEP)
    _check_once(path, [row.checkpoint for row in rows if row.checkpoint], CHECKPOINT)
    return Table(path, tuple(sorted(rows, key=lambda row: row.step)))


def _lines(path: Path) -> tuple[Sequence[str], Sequence[tuple[int, Sequence[str]]]]:
    """Read the header, and every line that isn't blank, with its number."""
    try:
        # With the byte-order mark that spreadsheets write.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            lines = [(reader.line_num, cells) for cells in reader if any(map(str.strip, cells))]
    except OSError as error:
        raise SelectionError(
            f"no table of metrics at {path} ({error.strerror}): nothing is chosen without "
            f"measurements; validate the checkpoints first, or mend the path"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise SelectionError(f"{path} is no CSV table ({error}): write it again") from error
    if not lines:
        raise SelectionError(f"{path} is empty: validate the checkpoints first")
    return [name.strip() for name in lines[0][1]], lines[1:]


def _check_header(path: Path, header: Sequence[str]) -> None:
    _check_once(path, header, "column")
    if "" in header:
        raise SelectionError(f"{path} has a column without a name: name it, or take it out")
    if STEP not in header:
        raise SelectionError(
            f"{path} has no column {STEP!r} (found {', '.join(header[:6])} …): name every "
            f"checkpoint by its step"
        )
    if not set(header) - set(IDENTITY):
        raise SelectionError(f"{path} has no metrics: add a column for each")


def _check_once(path: Path, values: Sequence[str], what: str) -> None:
    again = [value for value, count in Counter(values).items() if count > 1]
    if again:
        raise SelectionError(
            f"{path} has {what} {again[0] or '(without a name)'} more than once: keep the one "
            f"that is right"
        )


def _row(path: Path, number: int, header: Sequence[str], cells: Sequence[str]) -> Row:
    if len(cells) != len(header):
        raise SelectionError(
            f"{path}, line {number}: {len(cells)} cells under {len(header)} columns: write the "
            f"table again"
        )
    given = dict(zip(header, map(str.strip, cells), strict=True))
    where = f"{path}, line {number}"
    step = _whole(where, STEP, given[STEP])
    if step is None:
        raise SelectionError(f"{where} has no step: say which checkpoint it is of")
    return Row(
        step=step,
        epoch=_whole(where, EPOCH, given.get(EPOCH, "")),
        metrics=dict(_metrics(where, given)),
        checkpoint=given.get(CHECKPOINT) or None,
        sha256=given.get(SHA256, "").lower() or None,
    )


def _metrics(where: str, given: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    for name, text in given.items():
        if name not in IDENTITY:
            yield name, _finite(where, name, text)


def _finite(where: str, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise SelectionError(
            f"{where}: {name} is {text or 'empty'}, expected a finite number: measure it, or leave "
            f"the row or the column out"
        )
    return value


def _whole(where: str, name: str, text: str) -> int | None:
    """Read a count; None where there is none."""
    if not text:
        return None
    try:
        value = float(text)
        if not value.is_integer() or value < 0:
            raise ValueError
    except (ValueError, OverflowError) as error:
        raise SelectionError(
            f"{where}: {name} is {text}, expected a whole number of 0 or more"
        ) from error
    return int(text) if text.isdigit() else int(value)

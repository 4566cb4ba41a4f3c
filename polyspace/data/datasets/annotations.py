"""The files that data sets are annotated with, CSV and JSON, and what may be wrong with them."""

import csv
import io
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from polyspace.errors import DatasetError

Row = dict[str, str]
"""A line of a table, by the column's name."""


def lines(file: Path) -> list[str]:
    """Read a text file's lines that hold something.

    Raises:
        DatasetError: The file is missing or is no text.
    """
    return [line.strip() for line in text(file).splitlines() if line.strip()]


def rows(
    file: Path, required: Collection[str], optional: Collection[str] | None = None
) -> list[Row]:
    """Read a CSV file with a header.

    Args:
        file: The file, in UTF-8, with or without a byte-order mark.
        required: Columns that it must have.
        optional: Others that it may have. None: any.

    Raises:
        DatasetError: The file is missing, has other columns, or a line has more or fewer values.
    """
    reader = csv.reader(io.StringIO(text(file), newline=""), skipinitialspace=True, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        check_columns(file, header, required, optional)
        return list(_named(file, header, reader))
    except csv.Error as error:
        raise DatasetError(f"{file}, line {reader.line_num}: no CSV ({error})") from error


def check_columns(
    file: Path, header: Collection[str], required: Collection[str], optional: Collection[str] | None
) -> None:
    """Refuse a table that lacks a column, or has one whose name says nothing to us.

    Raises:
        DatasetError: It does. A misspelt ``group`` that went unnoticed would leak between splits.
    """
    missing = [name for name in required if name not in header]
    if missing or len(set(header)) != len(list(header)):
        raise DatasetError(
            f"{file} has the columns {', '.join(header) or 'none'}: expected each once, "
            f"among them {', '.join(required)}"
        )
    known = {*required, *(header if optional is None else optional)}
    if unknown := [name for name in header if name not in known]:
        raise DatasetError(
            f"{file} has the column {unknown[0]!r}, which means nothing here: expected "
            f"{', '.join(required)} and perhaps {', '.join(optional or ())}; rename or remove it"
        )


def objects(file: Path, fields: Collection[str]) -> list[dict[str, Any]]:
    """Read a JSON file that is a list of objects.

    Raises:
        DatasetError: It is missing or is something else, or an object lacks a field.
    """
    entries = load(file)
    if not isinstance(entries, list):
        raise DatasetError(f"{file} holds no list: expected objects with {', '.join(fields)}")
    for place, entry in enumerate(entries):
        if not isinstance(entry, dict) or not all(name in entry for name in fields):
            raise DatasetError(
                f"{file}, entry {place + 1}: found {str(entry)[:80]!r}, expected an object with "
                f"{', '.join(fields)}"
            )
    return entries


def load(file: Path) -> Any:  # noqa: ANN401 - what a JSON file holds is for the caller to check
    """Read a JSON file.

    Raises:
        DatasetError: It is missing, or is no JSON.
    """
    try:
        return json.loads(text(file))
    except json.JSONDecodeError as error:
        raise DatasetError(f"{file} is no JSON: {error}") from error


def text(file: Path) -> str:
    """Read a text file.

    Raises:
        DatasetError: It is missing, can't be read, or is no UTF-8.
    """
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DatasetError(
            f"{file} is missing: the layout of every data set stands in docs/datasets.md"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{file} can't be read as text: {error}") from error


def _named(file: Path, header: list[str], reader: Any) -> Iterator[Row]:  # noqa: ANN401 - csv.reader has no public type
    for values in reader:
        if not values:
            continue
        if len(values) != len(header):
            raise DatasetError(
                f"{file}, line {reader.line_num}: {len(values)} values for {len(header)} columns"
            )
        yield dict(zip(header, (value.strip() for value in values), strict=True))

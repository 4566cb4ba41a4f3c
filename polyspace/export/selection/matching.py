"""Which file a row of the table is of: by its name, by the exact number in it, by its bytes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from polyspace import files
from polyspace.errors import CheckpointError, SelectionError
from polyspace.export.selection.table import Row, Table

BY_STEP = re.compile(r"(?:checkpoint|step)[_-]?(?:step)?[_-]?(\d+)")
BY_EPOCH = re.compile(r"(?:(?:checkpoint[_-]?)?epoch[_-]?|\w+_ep)(\d+)")
ENDINGS = (".pt", ".pth")


@dataclass(frozen=True)
class Found:
    """A row, and the file that it is of."""

    row: Row
    path: Path
    sha256: str


def match(table: Table, folder: Path) -> tuple[Found, ...]:
    """Find every row's checkpoint.

    A number behind "epoch" or "ep" is an epoch where the table has epochs; any other is a step.
    ``checkpoint_500`` is of step 500 alone, never of 1500.

    Raises:
        SelectionError: A row has no checkpoint, or several may be meant.
        CheckpointError: A checkpoint's bytes are not those that the table's row is of.
    """
    if not folder.is_dir():
        raise SelectionError(f"{folder} is no folder: mend --checkpoint_dir")
    there = _checkpoints(folder)
    paths = [_path(row, folder, there) for row in table.rows]
    missing = [str(row.step) for row, path in zip(table.rows, paths, strict=True) if path is None]
    if missing:
        raise SelectionError(
            f"{folder} has no checkpoint of step {', '.join(missing[:5])}"
            f"{' …' if len(missing) > 5 else ''} ({len(missing)} of {len(paths)} rows of "
            f"{table.path}): put it back, or take the row out"
        )
    known = [path for path in paths if path is not None]
    _check_apart(table, known)
    return tuple(_checked(row, path) for row, path in zip(table.rows, known, strict=True))


def unmeasured(found: Sequence[Found], folder: Path) -> tuple[str, ...]:
    """Give the names of checkpoints that no row is of."""
    matched = {one.path.name for one in found}
    numbered = (path for path in _checkpoints(folder) if _number(path) is not None)
    return tuple(path.name for path in numbered if path.name not in matched)


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in ENDINGS and path.is_file())


def _number(path: Path) -> tuple[str, int] | None:
    """Read what a file's name counts, and how far."""
    for name, pattern in (("step", BY_STEP), ("epoch", BY_EPOCH)):
        found = pattern.fullmatch(path.stem)
        if found:
            return name, int(found[1])
    return None


def _is_of(path: Path, row: Row) -> bool:
    match _number(path):
        case ("epoch", number) if row.epoch is not None:
            return number == row.epoch
        case (_, number):
            return number == row.step
        case _:
            return False


def _path(row: Row, folder: Path, there: Sequence[Path]) -> Path | None:
    if row.checkpoint is not None:
        return next((path for path in there if path.name == row.checkpoint), None)
    by_number = [path for path in there if _is_of(path, row)]
    if len(by_number) == 1:
        return by_number[0]
    if row.sha256 is not None:
        alike = [path for path in by_number or there if files.sha256_file(path) == row.sha256]
        return alike[0] if alike else None
    if by_number:
        names = " and ".join(path.name for path in by_number)
        raise SelectionError(
            f"step {row.step} may be {names} in {folder}: name the right one in a column "
            f"'checkpoint', or take the other away"
        )
    return None


def _check_apart(table: Table, paths: Sequence[Path]) -> None:
    """Refuse a file that two rows are of."""
    steps: dict[Path, int] = {}
    for row, path in zip(table.rows, paths, strict=True):
        if path in steps:
            raise SelectionError(
                f"{path.name} would be both step {steps[path]} and step {row.step} of "
                f"{table.path}: name every row's file in a column 'checkpoint'"
            )
        steps[path] = row.step


def _checked(row: Row, path: Path) -> Found:
    sha256 = files.sha256_file(path)
    if row.sha256 not in (None, sha256):
        raise CheckpointError(
            f"{path} has the sha256 {sha256[:12]}…, but step {row.step} was measured on "
            f"{str(row.sha256)[:12]}…: it is not the checkpoint that was validated; validate it "
            f"again, or put the right file back"
        )
    return Found(row, path, sha256)

"""What an export came to: every format side by side, written down and said."""

import textwrap
from collections.abc import Mapping
from pathlib import Path

from polyspace import console
from polyspace.errors import ExportError
from polyspace.export.contents import PROOF
from polyspace.report.exports import formats, overview, terminal
from polyspace.report.exports import proof as page
from polyspace.report.records.exports import read_exports
from polyspace.report.records.proof import read_proof


def in_words(folder: Path) -> str:
    """Say how true, how small and how fast a bundle came out."""
    return f"{folder}: {page.sentence(read_proof(folder / PROOF))}"


def write(out: Path, refused: Mapping[str, str], *, fails: bool) -> Path | None:
    """Write the overview of a folder of bundles; nothing where it has none and that is an error.

    Args:
        out: Holds a folder for each format.
        refused: Formats that failed, with the reason.
        fails: Whether these are an error.

    Returns:
        exports.json, beside the page.
    """
    found = overview.collect(out, refused)
    return None if fails and not found.formats else overview.write(found, out)


def show(out: Path) -> None:
    """Print all formats side by side, and where their page is."""
    found = read_exports(out / overview.RECORD)
    if found.formats:
        console.present(terminal.table(found))
    console.say(textwrap.fill(formats.sentence(found), 100))
    for name, why in found.refused.items():
        console.say(f"refused  {name}: {why}")
    console.say(f"bundles  {out / overview.PAGE}")


def conclude(refused: Mapping[str, str], *, fails: bool) -> None:
    """End with an error where formats were refused and that is one.

    Raises:
        ExportError: So it is.
    """
    if refused and fails:
        raise ExportError("; ".join(f"{name}: {why}" for name, why in refused.items()))

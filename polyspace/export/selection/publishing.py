"""What of a selection is written into a folder that nobody sees yet."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polyspace import files
from polyspace.engine import checkpoint, validation
from polyspace.errors import CheckpointError
from polyspace.export import contents
from polyspace.export.selection import dossier
from polyspace.export.selection.dossier import Chosen
from polyspace.report import selection as page
from polyspace.report.blocks import Section
from polyspace.report.figures import canvas
from polyspace.report.records.selection import NAME, Selection


def copy_checkpoint(chosen: Chosen, target: Path) -> None:
    """Copy the chosen checkpoint, and note its sha256 beside it.

    Raises:
        CheckpointError: It is not the file any more that was chosen.
    """
    source = chosen.winner.found
    shutil.copyfile(source.path, target)
    if files.sha256_file(target) != source.sha256:
        raise CheckpointError(f"{source.path} was changed while it was copied: choose again")
    checkpoint.write_digest(target)


def write(
    folder: Path,
    chosen: Chosen,
    *,
    published: str,
    loading: str,
    plot: bool,
    sections: Sequence[Section] = (),
    further: Mapping[str, Any] | None = None,
) -> Selection:
    """Write record, README, the table that decided, and pictures where they are asked for.

    Args:
        folder: Where to.
        chosen: The choice.
        published: Name of the chosen checkpoint's file in the folder.
        loading: Code that loads it.
        plot: Whether to draw.
        sections: What the README says besides.
        further: What the record holds besides.
    """
    found = dossier.record(chosen, published)
    drawn = page.pictures(found) if plot else ()
    for picture in drawn:
        (folder / f"{picture.name}.png").write_bytes(canvas.png(picture.figure))
    text = page.readme(found, loading=loading, pictures=drawn, sections=sections)
    (folder / "README.md").write_text(text, encoding="utf-8")
    shutil.copyfile(chosen.table.path, folder / validation.NAME)
    contents.write_json(folder / NAME, {**found.model_dump(mode="json"), **(further or {})})
    return found

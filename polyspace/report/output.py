"""A report on disk: a page, Markdown with its pictures, and whatever goes with them."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from polyspace.files import write_atomically
from polyspace.report import markdown, page
from polyspace.report.blocks import Document, Folded, Picture
from polyspace.report.figures import canvas

FIGURES = "figures"
"""Folder of the pictures, beside the Markdown."""


def write(document: Document, out: Path, name: str, further: Mapping[str, str]) -> Path:
    """Write NAME.html, NAME.md with its pictures, and further texts; give the page.

    The page needs no network, no scripts and no other file.

    Args:
        document: The report.
        out: Folder.
        name: Of the files.
        further: Texts by the ending of their file: csv, json.
    """
    for picture in pictures(document):
        _write(out / FIGURES / f"{picture.name}.png", canvas.png(picture.figure))
    for ending, text in further.items():
        _write(out / f"{name}.{ending}", text.encode())
    _write(out / f"{name}.md", markdown.render(document, figures=FIGURES).encode())
    return _write(out / f"{name}.html", page.render(document).encode())


def write_page(document: Document, path: Path) -> Path:
    """Write a report as a page alone; give its path."""
    return _write(path, page.render(document).encode())


def pictures(document: Document) -> Iterator[Picture]:
    """Give all pictures of a report."""
    for section in document.sections:
        for block in section.blocks:
            inside = block.blocks if isinstance(block, Folded) else (block,)
            yield from (part for part in inside if isinstance(part, Picture))


def _write(path: Path, content: bytes) -> Path:
    write_atomically(path, lambda file: file.write(content))
    return path

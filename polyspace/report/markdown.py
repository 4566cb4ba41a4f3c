"""A report as Markdown, for repositories, trackers and pull requests; pictures lie beside it."""

import re
from collections.abc import Iterator

from polyspace.report.blocks import (
    Block,
    Code,
    Document,
    Facts,
    Folded,
    Heading,
    Inline,
    Link,
    Listing,
    Noted,
    Paragraph,
    Picture,
    Section,
    Table,
)

SPECIAL = re.compile(r"([\\`*_\[\]<>#|~$])")
"""What Markdown would take for more than itself, anywhere in a line."""


def render(document: Document, *, figures: str) -> str:
    """Write a report as Markdown.

    Args:
        document: The report.
        figures: Folder of its pictures, as seen from where the text will lie.
    """
    found = document.answer
    parts = [
        f"# {escape(document.title)}",
        escape(document.over),
        *(f"> **{escape(text)}**" for text in document.warnings),
        f"*{escape(found.question)}*",
        f"**{escape(found.said)}**",
        block(Table(("", ""), tuple((name, value) for name, value in found.figures.items())), ""),
        *(section(part, figures) for part in document.sections),
        f"Every figure is made by `{document.command}`.",
    ]
    return "\n\n".join(parts) + "\n"


def section(part: Section, figures: str) -> str:
    """Write one section."""
    return "\n\n".join([f"## {escape(part.title)}", *(block(b, figures) for b in part.blocks)])


def block(part: Block, figures: str) -> str:
    """Write one block."""
    match part:
        case Paragraph():
            return escape(part.text)
        case Heading():
            return f"### {escape(part.text)}"
        case Picture():
            return f"![{escape(part.alt)}]({figures}/{part.name}.png)\n\n{escape(part.caption)}"
        case Table():
            return "\n".join(_table(part))
        case Facts():
            return "\n".join(f"- {escape(n)}: {_inline(value)}" for n, value in part.given.items())
        case Listing():
            return "\n".join(f"    {line}" for line in part.text.splitlines())
        case Folded():
            inside = "\n\n".join(block(b, figures) for b in part.blocks)
            return f"<details><summary>{escape(part.title)}</summary>\n\n{inside}\n\n</details>"


def escape(text: str) -> str:
    """Give text that Markdown shows as it is, on one line."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _table(part: Table) -> Iterator[str]:
    marks = ["---" if place < part.text else "---:" for place in range(len(part.head))]
    yield _row([escape(name) for name in part.head])
    yield _row(marks)
    for place, row in enumerate(part.rows):
        cells = [_inline(cell) for cell in row]
        yield _row(
            [f"**{cell}**" if cell else "" for cell in cells] if place == part.marked else cells
        )


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _inline(cell: Inline) -> str:
    match cell:
        case Code():
            return "`" + " ".join(cell.text.split()).replace("`", "'").replace("|", r"\|") + "`"
        case Noted():
            return f"{escape(cell.text)}: {escape(cell.note)}"
        case Link():
            return f"[{escape(cell.text)}](<{cell.href}>)"
        case str():
            return escape(cell)

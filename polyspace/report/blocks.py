"""What a report is put together from, before anybody decides how it is written down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from matplotlib.figure import Figure

Verdict = Literal["better", "worse", "open"]
"""open: the interval of the difference contains zero."""


@dataclass(frozen=True)
class Code:
    """Text that is to be typed, or was."""

    text: str


@dataclass(frozen=True)
class Noted:
    """Text with a smaller one that explains it."""

    text: str
    note: str
    colour: str = ""
    """Of a dot before it: what pictures use for the same thing."""


@dataclass(frozen=True)
class Link:
    """Text that leads to a file beside the report."""

    text: str
    href: str
    """Relative; written by code, never taken from data."""


Inline = str | Code | Noted | Link


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    text: str
    quiet: bool = False
    """Whether it explains what stands above it."""


@dataclass(frozen=True)
class Heading:
    """The title of a part of a section."""

    text: str


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure over its caption."""

    name: str
    """Its file's, without an ending."""
    figure: Figure
    caption: str
    alt: str
    photographic: bool = False
    """Whether it shows frames, whose colours are their own."""


@dataclass(frozen=True)
class Table:
    """Rows under a head."""

    head: Sequence[str]
    rows: Sequence[Sequence[Inline]]
    text: int = 1
    """Columns, from the left, that hold words; the others hold numbers."""
    marked: int = -1
    """Which row stands out."""


@dataclass(frozen=True)
class Facts:
    """Names with what belongs to them."""

    given: Mapping[str, Inline]


@dataclass(frozen=True)
class Listing:
    """Text whose lines stay as they are."""

    text: str


@dataclass(frozen=True)
class Folded:
    """What few will want to read."""

    title: str
    blocks: Sequence["Block"]


Block = Paragraph | Heading | Picture | Table | Facts | Listing | Folded


@dataclass(frozen=True)
class Section:
    """A part of the report that the navigation leads to."""

    anchor: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Answer:
    """What was asked, and what was found."""

    question: str
    said: str
    verdict: Verdict
    figures: Mapping[str, str]
    """The few numbers to remember, by what they are."""


@dataclass(frozen=True)
class Document:
    """A whole report."""

    title: str
    over: str
    """What it is about, in a line."""
    warnings: Sequence[str]
    """What a reader must know before believing any figure."""
    answer: Answer
    command: str
    """Makes every figure again; stands under each."""
    sections: Sequence[Section] = field(default_factory=tuple[Section, ...])

"""What sections are put together from: tables, figures with captions, lists of facts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from polyspace.report.figures import canvas
from polyspace.report.markup import Html, element, image, join


@dataclass(frozen=True)
class Section:
    """A part of the page that the navigation leads to."""

    anchor: str
    title: str
    body: Html

    def html(self) -> Html:
        """Give it as markup."""
        return element("section", element("h2", self.title), self.body, id=self.anchor)


def picture(drawn: Figure, caption: str, *, alt: str) -> Html:
    """Put a picture over its caption."""
    source = canvas.data_uri(drawn)
    return element("figure", image(source, alt=alt), element("figcaption", caption))


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, text: int = 1, marked: int = -1
) -> Html:
    """Lay out rows under a head.

    Args:
        head: Names of the columns.
        rows: Cells, in the columns' order.
        text: Columns, from the left, that hold words; the others hold numbers.
        marked: Which row stands out.
    """
    kinds = ["word" if place < text else "number" for place in range(len(head))]
    top = [element("th", name, class_=kind) for name, kind in zip(head, kinds, strict=True)]
    body = [
        element(
            "tr",
            *(element("td", cell, class_=kind) for cell, kind in zip(row, kinds, strict=True)),
            **({"class_": "method"} if place == marked else {}),
        )
        for place, row in enumerate(rows)
    ]
    whole = element("table", element("thead", element("tr", *top)), element("tbody", *body))
    return element("div", whole, class_="scroll")


def facts(given: Mapping[str, str]) -> Html:
    """List names with what belongs to them."""
    pairs = [join(element("dt", name), element("dd", value)) for name, value in given.items()]
    return element("dl", *pairs)


def folded(title: str, body: Html) -> Html:
    """Fold away what few will want to read."""
    return element("details", element("summary", title), body)


def paragraph(text: str, kind: str = "") -> Html:
    """Give a paragraph, of a kind that the style sheet knows."""
    return element("p", text, **({"class_": kind} if kind else {}))

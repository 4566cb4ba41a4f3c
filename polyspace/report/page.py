"""A report as one page of HTML; it needs no network, no scripts and no other file."""

from importlib import resources
from string import Template

from polyspace.report import words
from polyspace.report.blocks import (
    Answer,
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
from polyspace.report.figures import canvas
from polyspace.report.markup import Html, element, image, join


def render(document: Document) -> str:
    """Write a report as HTML, in colours that follow the reader's light or dark."""
    body = join(
        element("h1", document.title),
        _paragraph(document.over, "over"),
        *(_paragraph(text, "banner") for text in document.warnings),
        _answer(document.answer),
        _navigation(document),
        *(section(part, document.command) for part in document.sections),
    )
    files = resources.files("polyspace.report")
    shell = Template((files / "report.html").read_text())
    style = (files / "report.css").read_text()
    return shell.substitute(title=join(document.title), style=style, body=body)


def section(part: Section, command: str) -> Html:
    """Write one section; the command stands under its figures."""
    blocks = (block(inside, command) for inside in part.blocks)
    return element("section", element("h2", part.title), *blocks, id=part.anchor)


def block(part: Block, command: str) -> Html:
    """Write one block."""
    match part:
        case Paragraph():
            return _paragraph(words.unbroken(part.text), "quiet" if part.quiet else "")
        case Heading():
            return element("h3", part.text)
        case Picture():
            return _picture(part, command)
        case Table():
            return _table(part)
        case Facts():
            pairs = (
                join(element("dt", name), element("dd", _inline(value)))
                for name, value in part.given.items()
            )
            return element("dl", *pairs)
        case Listing():
            return element("pre", part.text)
        case Folded():
            inside = (block(one, command) for one in part.blocks)
            return element("details", element("summary", part.title), *inside)


def _answer(answer: Answer) -> Html:
    cards = (
        element("div", element("b", value), element("span", words.unbroken(name)), class_="card")
        for name, value in answer.figures.items()
    )
    return element(
        "div",
        _paragraph(answer.question, "question"),
        _paragraph(words.unbroken(answer.said), "said"),
        element("div", *cards, class_="cards"),
        class_=f"answer {answer.verdict}",
    )


def _navigation(document: Document) -> Html:
    links = (element("a", part.title, href=f"#{part.anchor}") for part in document.sections)
    return element("nav", *links)


def _picture(part: Picture, command: str) -> Html:
    shown = image(canvas.data_uri(part.figure), alt=part.alt)
    made = element("code", command, class_="command", title=command)
    caption = element("figcaption", words.unbroken(part.caption), made)
    kind = "photographs" if part.photographic else "drawing"
    return element("figure", element("div", shown, class_=kind), caption)


def _table(part: Table) -> Html:
    kinds = ["word" if place < part.text else "number" for place in range(len(part.head))]
    top = [element("th", name, class_=kind) for name, kind in zip(part.head, kinds, strict=True)]
    body = [
        element(
            "tr",
            *(element("td", _inline(cell), class_=k) for cell, k in zip(row, kinds, strict=True)),
            **({"class_": "method"} if place == part.marked else {}),
        )
        for place, row in enumerate(part.rows)
    ]
    whole = element("table", element("thead", element("tr", *top)), element("tbody", *body))
    return element("div", whole, class_="scroll")


def _inline(cell: Inline) -> Html:
    match cell:
        case Code():
            return element("code", cell.text)
        case Noted():
            dot = {"class_": "kind", "style": f"--dot: {cell.colour}"} if cell.colour else {}
            return join(element("span", cell.text, **dot), element("small", cell.note))
        case Link():
            return element("a", cell.text, href=cell.href)
        case str():
            return join(cell)


def _paragraph(text: str, kind: str = "") -> Html:
    """Give a paragraph, of a kind that the style sheet knows."""
    return element("p", text, **({"class_": kind} if kind else {}))

"""HTML that can't be broken by data: whatever isn't `Html` already is escaped."""

from html import escape


class Html(str):
    """Text that is markup; only this module makes it out of plain text."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: str) -> Html:
    """Give an element around its children.

    Args:
        tag: Name of the element.
        children: `Html` goes in as it is, any other text escaped.
        attributes: A trailing underscore is dropped (`class_`), others become hyphens.
    """
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for name, value in attributes.items()
    )
    return Html(f"<{tag}{given}>{join(*children)}</{tag}>")


def image(source: str, *, alt: str) -> Html:
    """Give a picture; the only element without an end that a page needs."""
    return Html(f'<img src="{escape(source)}" alt="{escape(alt)}">')


def join(*children: str) -> Html:
    """Put markup and escaped text one behind the other."""
    return Html("".join(c if isinstance(c, Html) else escape(c) for c in children))

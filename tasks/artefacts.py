"""What a flow run shows in Prefect: tables, texts, pictures and links, left in one way.

Without a flow run there is nobody to show anything to, and nothing is done. A server that doesn't
take one costs a warning: no result is lost for want of its picture.
"""

import logging
import re
from collections.abc import Callable, Iterable, Mapping

import httpx
from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)
from prefect.exceptions import PrefectException
from prefect.runtime import flow_run

FAILURES = (httpx.HTTPError, PrefectException, OSError)
"""What a server that doesn't answer, or refuses, is met with."""

logger = logging.getLogger(__name__)


def is_shown() -> bool:
    """Say whether there is a flow run, for what is dear to make."""
    return bool(flow_run.id)


def table(name: str, rows: Iterable[Mapping[str, object]], words: str | None = None) -> None:
    """Leave a table.

    Args:
        name: Of the artefact; those of one name are versions of each other.
        rows: By column.
        words: Markdown, shown with it.
    """
    found = [dict(row) for row in rows] if is_shown() else []
    key = key_of(name)
    _leave(key, lambda: create_table_artifact(table=found, key=key, description=words))


def text(name: str, markdown: str, words: str | None = None) -> None:
    """Leave a text in Markdown."""
    key = key_of(name)
    _leave(key, lambda: create_markdown_artifact(markdown=markdown, key=key, description=words))


def picture(name: str, draw: Callable[[], str], words: str | None = None) -> None:
    """Leave a picture; it is drawn only if there is a flow run to show it with.

    Args:
        name: Of the artefact.
        draw: Gives the picture's address. One that holds the picture itself (data:) leads there
            from wherever the page is read, and asks no second service for a password.
        words: Markdown, shown with it.
    """
    key = key_of(name)
    _leave(key, lambda: create_image_artifact(image_url=draw(), key=key, description=words))


def link(name: str, address: str, words: str) -> None:
    """Leave a link."""
    key = key_of(name)
    _leave(key, lambda: create_link_artifact(link=address, link_text=words, key=key))


def key_of(name: str) -> str:
    """Write a name as Prefect wants keys: small letters, digits and dashes."""
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")


def _leave(key: str, make: Callable[[], object]) -> None:
    if not is_shown():
        return
    try:
        make()
    except FAILURES as error:
        words = " ".join(str(error).split())[:200]
        logger.warning("Prefect didn't take %s, which is left out of the run: %s", key, words)

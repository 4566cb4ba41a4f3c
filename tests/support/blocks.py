"""Blocks of documents, as what a test knows that they are."""

from typing import TypeVar

T = TypeVar("T")


def be(kind: type[T], block: object) -> T:
    """Give a block, if it is of a kind."""
    assert isinstance(block, kind), f"{block} is no {kind.__name__}"
    return block

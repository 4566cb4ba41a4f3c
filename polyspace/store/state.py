"""The `state` column: what became of every clip, for those who read zarr but not the ledger.

It is derived and never the truth. Its attributes also say how many lines each file of the ledger
has, so that one that gets lost is noticed, and what the storage types have cost.
"""

from collections.abc import Mapping
from typing import Any

from polyspace.errors import CorruptStoreError
from polyspace.store import metadata
from polyspace.store.journal import LedgerFile
from polyspace.store.ledger import Ledger


def of(book: Ledger) -> tuple[list[str], Mapping[str, Any]]:
    """Derive the state of every clip, and the attributes: pending, done or quarantined."""
    coverage = book.coverage()
    done = [book.done(name) for name in book.layout.specs]
    states = [
        "quarantined"
        if clip in coverage.quarantined
        else "done"
        if done and all(seen[row] for seen in done)
        else "pending"
        for row, clip in enumerate(book.layout.rows.ids)
    ]
    lost = {name: book.lost(name).model_dump() for name in book.layout.specs}
    return states, {"ledger": dict(book.lines), "lost": lost}


def refresh(book: Ledger, ledger: LedgerFile) -> bool:
    """Write the column anew, unless it was derived from the ledger as it is; tell whether."""
    if book.lines == _roll(book):
        return False
    states, attributes = of(book)
    # With the line that will vouch for the column, which is written before it.
    lines = {**book.lines, ledger.next: book.lines.get(ledger.next, 0) + 1}
    metadata.publish_state(book.layout.storage, states, {**attributes, "ledger": lines}, ledger)
    return True


def _roll(book: Ledger) -> Mapping[str, int]:
    """Read how many lines there were; a damaged column knows of none, and is derived anew."""
    try:
        said = metadata.state(book.layout.storage, book.sizes)
    except CorruptStoreError:
        return {}
    return said[1]["ledger"] if said else {}

"""The `state` column: what became of every clip, for those who read zarr but not the ledger.

It is derived and never the truth. Its attributes also say how many lines each file of the ledger
had, so that one that gets lost is noticed, and what the storage types have cost.
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


def refresh(book: Ledger, ledger: LedgerFile) -> None:
    """Write the column anew, unless it says already what the ledger says."""
    wanted = of(book)
    if _said(book) != wanted:
        metadata.publish_state(book.layout.storage, *wanted, ledger)


def _said(book: Ledger) -> tuple[list[str], Mapping[str, Any]] | None:
    """Read the column as it is; a damaged one says nothing, and is derived anew."""
    try:
        return metadata.state(book.layout.storage, book.sizes)
    except CorruptStoreError:
        return None

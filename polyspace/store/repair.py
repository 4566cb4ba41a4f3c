"""Repair: what is damaged becomes what is not done, and nothing else does.

Clips of a damaged file whose own sha256 still agrees are kept. The next extraction does the others
again. Nothing is made up: metadata that is damaged has to come from a copy. Where only the line is
lost that vouches for it, the lines on work items do, which carry a sha256 of what it says.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from polyspace.progress import Progress
from polyspace.store import chunks, codec, journal, metadata, state, storage
from polyspace.store.journal import Entry, LedgerFile, StoredFile
from polyspace.store.lease import Lease, Leases, lease_name
from polyspace.store.ledger import Follower, Ledger
from polyspace.store.verification import Inspection, inspect


@dataclass(frozen=True)
class Repair:
    """What a repair did."""

    path: Path
    clips: tuple[str, ...]
    """To be done again by some backbone; in the store's order."""
    lines: int
    """Damaged lines that were taken out of the ledger."""
    pending: int
    """Clips that are to be done now, those among them."""
    has_changed: bool
    """Whether anything was put right."""

    def __str__(self) -> str:
        """Say it in one line."""
        if not self.has_changed:
            return f"{self.path}: nothing to repair"
        return (
            f"{self.path}: took {self.lines} damaged lines and {len(self.clips)} damaged clips "
            f"out; {self.pending} clips are to be done: run the extraction, which does exactly "
            f"these"
        )


def repair(path: Path) -> Generator[Progress, None, Repair]:
    """Read a whole store, and take what is damaged for not done.

    Raises:
        StoreError: There is no store.
        CorruptStoreError: Its metadata is damaged.
        LeaseError: Somebody took over what was being repaired.
    """
    place = storage.at(path)
    lines = journal.mend(place)
    leases, file = Leases(place), LedgerFile(place)
    try:
        follower = Follower(path, for_repair=True)
        metadata.vouch(place, file)
        clips = yield from _repair(follower, leases, file)
        with leases.hold("state"):
            book = follower.look_again()
            has_changed = state.refresh(book, file)
    finally:
        leases.close()
        file.close()
    return Repair(path, clips, lines, book.coverage().pending, has_changed)


def _repair(
    follower: Follower, leases: Leases, file: LedgerFile
) -> Generator[Progress, None, tuple[str, ...]]:
    """Requeue what is damaged; give the clips."""
    book, bad = follower.book, set[int]()
    entries = list(book.entries.values())
    for done, entry in enumerate(entries, start=1):
        if inspect(book, entry).what:
            bad.update(_requeue(follower, entry, leases, file))
        yield Progress(done, len(entries), f"{entry.backbone}, {len(bad)} clips to do again")
    return tuple(book.layout.rows.ids[row] for row in sorted(bad))


def _requeue(follower: Follower, entry: Entry, leases: Leases, file: LedgerFile) -> tuple[int, ...]:
    """Requeue what is bad of a work item, once nobody else writes it; give the rows."""
    with leases.hold(lease_name(entry.item), above=entry.fence) as lease:
        # Again: who had the lease until now may just have written it anew.
        book = follower.look_again()
        newest = book.entries[entry.backbone, entry.item]
        found = inspect(book, newest)
        if found.what:
            admit = partial(leases.assert_held, lease)
            file.append(_requeued(book, newest, found, admit, lease))
        return found.bad


def _requeued(
    book: Ledger, entry: Entry, found: Inspection, admit: Callable[[], None], lease: Lease
) -> Entry:
    """Write what is good of a damaged work item anew, and give the line that counts from now on."""
    layout = book.layout
    kept = [
        None if entry.start + place in found.bad else digest
        for place, digest in enumerate(entry.sha256)
    ]
    files: dict[str, StoredFile] = {}
    for chunk in layout.chunks(layout.specs[entry.backbone], entry.item):
        if not any(kept):
            admit()
            layout.storage.delete(chunk.key)
            continue
        values = codec.blank(chunk)
        for place in (place for place, digest in enumerate(kept) if digest):
            values[place] = found.values[chunk.part][place]
        files[chunk.part] = chunks.publish(layout.storage, chunk, values, admit)
    admit()
    return entry.model_copy(
        update={
            "sha256": tuple(kept),
            "files": files,
            "bytes": sum(file.bytes for file in files.values()),
            "fence": lease.fence,
            "written_at": journal.now(),
        }
    )

"""Collecting what writers left behind: half files, dead leases, features without a line."""

from dataclasses import dataclass
from pathlib import Path
from time import sleep

from polyspace.errors import LeaseError
from polyspace.store import journal, ledger
from polyspace.store.journal import JournalReader
from polyspace.store.layout import AXES
from polyspace.store.lease import FOLDER, Leases, fences
from polyspace.store.ledger import Ledger
from polyspace.store.local import PARTIAL


@dataclass(frozen=True)
class Collected:
    """What was deleted."""

    path: Path
    files: tuple[str, ...]
    """Keys."""
    bytes: int

    def __str__(self) -> str:
        """Say it in one line."""
        if not self.files:
            return f"{self.path}: nothing to collect"
        return f"{self.path}: deleted {len(self.files)} files, {self.bytes / 2**20:.1f} MiB"


def collect(path: Path) -> Collected:
    """Delete what nobody needs.

    Leases of other machines are watched for their term before they count as dead.

    Raises:
        StoreError: There is no store.
        LeaseError: Somebody is writing; nothing was deleted.
        CorruptStoreError: The ledger is damaged, so that nothing is known to be needless.
    """
    book = ledger.read(path)
    leases = Leases(book.layout.storage)
    held = fences(book.sizes)
    try:
        for name in held:
            _take_over(leases, name, max(held[name]), path)
        book = ledger.read(path)
        vouched = _vouched(book)
        needless = [key for key in book.sizes if _is_needless(key, vouched)]
        for key in needless:
            book.layout.storage.delete(key)
        trimmed = _trim(book)
    finally:
        leases.close()
    dead = [f"{FOLDER}{name}.{fence}" for name, numbers in held.items() for fence in numbers]
    return Collected(path, (*dead, *needless, *trimmed), sum(book.sizes[key] for key in needless))


def _take_over(leases: Leases, name: str, fence: int, path: Path) -> None:
    """Take a lease whose owner is dead, so that closing deletes it.

    Raises:
        LeaseError: The owner lives: it has renewed the lease while we waited for the end of it.
    """
    first = leases.holder(name)
    while leases.acquire(name, above=fence) is None:
        holder = leases.holder(name)
        if holder and first and (holder.owner, holder.beat) != (first.owner, first.beat):
            raise LeaseError(
                f"{holder} is writing {name} of {path}: wait until it is done; nothing was deleted"
            )
        sleep(leases.pause_seconds)


def _trim(book: Ledger) -> tuple[str, ...]:
    """Take half lines off the ends of the ledger's files, and name these files."""
    place = book.layout.storage
    reader, sizes = JournalReader(place), place.list(journal.FOLDER)
    reader.lines(sizes)
    torn = reader.torn(sizes)
    for key, end in torn.items():
        place.publish(key, [place.read(key)[:end]])
    return tuple(torn)


def _is_needless(key: str, vouched: set[str]) -> bool:
    """Tell whether a file is half of one, or features that are not in the ledger."""
    if key.endswith(PARTIAL):
        return True
    part, *rest = key.split("/")
    is_chunk = part in AXES and len(rest) == 2 and rest[1].startswith("c.")
    return is_chunk and key not in vouched


def _vouched(book: Ledger) -> set[str]:
    return {
        chunk.key
        for entry in book.entries.values()
        for chunk in book.layout.chunks(book.layout.specs[entry.backbone], entry.item)
        if entry.size(chunk) is not None
    }

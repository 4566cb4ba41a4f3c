"""Retry: what was quarantined becomes what is not done."""

from pathlib import Path

from polyspace.store import journal, state, storage
from polyspace.store.journal import LedgerFile
from polyspace.store.lease import Leases, lease_name
from polyspace.store.ledger import Follower


def retry(path: Path) -> tuple[str, ...]:
    """Take quarantined clips for not done, so that the next extraction tries them again.

    Returns:
        The clips.

    Raises:
        StoreError: There is no store.
        CorruptStoreError: Its metadata is damaged.
        LeaseError: Somebody took over what was being changed.
    """
    place = storage.at(path)
    leases, file = Leases(place), LedgerFile(place)
    try:
        follower = Follower(path)
        clips = tuple(follower.book.coverage().quarantined)
        items = sorted(
            {entry.item for entry in follower.book.entries.values() if entry.quarantined}
        )
        for item in items:
            _requeue(follower, item, leases, file)
        with leases.hold("state"):
            state.refresh(follower.look_again(), file)
    finally:
        leases.close()
        file.close()
    return clips


def _requeue(follower: Follower, item: int, leases: Leases, file: LedgerFile) -> None:
    """Forget why clips of a work item were given up, once nobody else writes it."""
    fence = max(entry.fence for (_, other), entry in follower.book.entries.items() if other == item)
    with leases.hold(lease_name(item), above=fence) as lease:
        # Again: who had the lease until now may just have written it anew.
        book = follower.look_again()
        for name in book.layout.specs:
            entry = book.entries.get((name, item))
            if entry and entry.quarantined:
                leases.assert_held(lease)
                file.append(
                    entry.model_copy(
                        update={
                            "quarantined": {},
                            "fence": lease.fence,
                            "written_at": journal.now(),
                        }
                    )
                )

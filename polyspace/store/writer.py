"""The writer: makes or resumes a store, shares the work with other writers, and keeps it."""

from collections.abc import Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import sleep
from types import TracebackType

import numpy as np

from polyspace.errors import CorruptStoreError, LeaseError, StoreError
from polyspace.store import (
    block,
    chunks,
    codec,
    fingerprint,
    identity,
    journal,
    ledger,
    metadata,
    state,
    storage,
)
from polyspace.store.block import Block, StoredBlock
from polyspace.store.journal import Entry, LedgerFile, StoredFile
from polyspace.store.layout import ArraySpec, ClipRows, Layout, StoreHeader
from polyspace.store.lease import TERM_SECONDS, Lease, Leases, lease_name
from polyspace.store.ledger import Follower, Ledger
from polyspace.store.verification import Values, inspect


@dataclass(frozen=True)
class WorkItem:
    """Clips that are extracted and written together."""

    index: int
    rows: tuple[int, ...]
    """The clips that are to be done: all of the item's, or those that were found damaged."""
    backbones: tuple[str, ...]
    """Whose features are missing."""

    def __len__(self) -> int:
        return len(self.rows)


class StoreWriter:
    """Writes work items; a kill at any moment loses none that was acknowledged.

    Several writers, on several machines, may share a store: each work item is claimed by one of
    them, and taken over by another when that one dies.

    Example:
        with StoreWriter.open(path, header, rows, specs) as writer:
            while writer.awaits_work():
                for item in writer.claims():
                    writer.write(item, extract(item), quarantined={})
    """

    def __init__(
        self, follower: Follower, specs: Sequence[ArraySpec], leases: Leases, file: LedgerFile
    ) -> None:
        self._ledger, self._leases, self._file = follower, leases, file
        self._layout = follower.book.layout
        self._specs = {spec.backbone: spec for spec in specs}
        self._held: dict[int, Lease] = {}
        self._vouched = fingerprint.of_arrays(self._layout)

    @classmethod
    def open(
        cls,
        path: Path,
        header: StoreHeader,
        rows: ClipRows,
        specs: Sequence[ArraySpec],
        *,
        term_seconds: float = TERM_SECONDS,
    ) -> "StoreWriter":
        """Make a store, or resume one; backbones that it doesn't hold yet are added to it.

        Args:
            path: Where; ``s3://bucket/prefix``, too.
            header: What the store is about.
            rows: Its clips.
            specs: The backbones to be written.
            term_seconds: How long a lease stands that its owner doesn't renew.

        Raises:
            StoreError: The store there holds other clips, or other features of a backbone.
            CorruptStoreError: Its metadata or its ledger is damaged.
        """
        place = storage.at(path)
        wanted = Layout(place, header, rows, {})
        if metadata.is_store(path):
            # Before anything is touched: it may be somebody else's.
            _found(wanted, specs)
        leases, file = Leases(place, term_seconds=term_seconds), LedgerFile(place)
        try:
            # One at a time, so that two that begin together make one store.
            with leases.hold("metadata"):
                _prepare(wanted, specs, file)
                return cls(Follower(path), specs, leases, file)
        except BaseException:
            leases.close()
            file.close()
            raise

    def pending(self) -> list[WorkItem]:
        """Say what is left: clips without a word in the ledger, or whose files are not whole."""
        book = self._ledger.look_again()
        found = (self._left(book, index) for index in self._layout.items)
        return [item for item in found if item.rows]

    def awaits_work(self) -> bool:
        """Wait until there is something to claim; tell that there is, or that all is done.

        Items that others hold are waited for: until they are done, or their owner has died.
        """
        while left := self.pending():
            if any(self._leases.is_free(lease_name(item.index)) for item in left):
                return True
            sleep(self._leases.pause_seconds)
        return False

    def claims(self) -> Iterator[WorkItem]:
        """Take one work item after the other, of those that nobody else holds."""
        for item in self.pending():
            if claimed := self._claim(item.index):
                yield claimed

    def write(
        self,
        item: WorkItem,
        blocks: Mapping[str, Block | StoredBlock],
        quarantined: Mapping[str, str],
    ) -> None:
        """Write what some backbones saw in an item's clips; it is durable when this returns.

        Args:
            item: One of `claims`, or of `pending`, which is then claimed.
            blocks: By backbone; the rows of quarantined clips are ignored. What is in the stored
                types already is written as it is.
            quarantined: Clip ids and the reason why there is nothing of them.

        Raises:
            LeaseError: Another writer has the item; nothing was written.
            StorageRangeError: A value that the storage type can't hold; nothing was written.
            StoreError: Blocks of another shape, or clips that are not the item's.
        """
        ids = [self._layout.rows.ids[row] for row in item.rows]
        strangers = sorted(set(quarantined) - set(ids))
        if strangers:
            raise StoreError(f"quarantined {', '.join(strangers)}: not among item {item.index}")
        keep = np.array([name not in quarantined for name in ids])
        fresh = {
            name: block.stored(seen, self._specs[name], ids, keep) for name, seen in blocks.items()
        }
        lease = self._lease(item, set(fresh))
        for name, seen in fresh.items():
            self._publish(lease, item, self._specs[name], seen, quarantined)
        self._leases.release(self._held.pop(item.index))

    def close(self) -> None:
        """Give every lease back, and bring the `state` column up to date."""
        try:
            with self._leases.hold("state"):
                # Read anew: others may have added backbones, which this writer doesn't know.
                state.refresh(ledger.read(self._layout.path), self._file)
        finally:
            self._let_go()

    def __enter__(self) -> "StoreWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self._let_go()

    def _let_go(self) -> None:
        self._leases.close()
        self._file.close()

    def _left(self, book: Ledger, index: int) -> WorkItem:
        """Say what is left of a work item; nothing is, where no rows are."""
        left = {name: book.pending(name, index) for name in self._specs}
        rows = sorted({row for missing in left.values() for row in missing})
        return WorkItem(index, tuple(rows), tuple(name for name, own in left.items() if own))

    def _claim(self, index: int) -> WorkItem | None:
        """Claim what is left of a work item; None if another writer has it, or finished it."""
        book = self._ledger.catch_up()
        used = [e.fence for (_, item), e in book.entries.items() if item == index]
        lease = self._leases.acquire(lease_name(index), above=max(used, default=0))
        if lease is None:
            return None
        # Again: who had the lease until now may just have finished.
        item = self._left(self._ledger.catch_up(), index)
        if not item.rows:
            self._leases.release(lease)
            return None
        self._held[index] = lease
        specs = [self._specs[name] for name in item.backbones]
        keys = [chunk.key for spec in specs for chunk in self._layout.chunks(spec, index)]
        # A fenced-off owner's half-written file can no longer be renamed once it is gone.
        self._layout.storage.sweep(keys)
        return item

    def _lease(self, item: WorkItem, backbones: Set[str]) -> Lease:
        """Give the lease on a work item, claimed now if it wasn't.

        Raises:
            LeaseError: Another writer has it, or has finished it or some of it.
        """
        if item.index not in self._held and not self._is_left(item, backbones):
            name = lease_name(item.index)
            raise LeaseError(
                f"{name} of {self._layout.path} is being written, or was just finished, by "
                f"{self._leases.holder(name) or 'another writer'}: ask claims() for what is left"
            )
        return self._held[item.index]

    def _is_left(self, item: WorkItem, backbones: Set[str]) -> bool:
        """Claim a work item, if all that is to be written of it is still to be done."""
        claimed = self._claim(item.index)
        if claimed and claimed.rows == item.rows and backbones <= set(claimed.backbones):
            return True
        if claimed:
            self._leases.release(self._held.pop(item.index))
        return False

    def _publish(
        self,
        lease: Lease,
        item: WorkItem,
        spec: ArraySpec,
        fresh: StoredBlock,
        quarantined: Mapping[str, str],
    ) -> None:
        """Write the files, and only when they are durable the line that vouches for them."""
        place, admit = self._layout.storage, partial(self._leases.assert_held, lease)
        old, kept = self._kept(spec, item)
        start, stop = self._layout.bounds(item.index)
        ids = self._layout.rows.ids
        seen = [row - start for row in item.rows if ids[row] not in quarantined]
        files: dict[str, StoredFile] = {}
        with ThreadPoolExecutor(1) as beside:
            digests = beside.submit(codec.row_digests, [fresh.parts[part] for part in spec.parts])
            for chunk in self._layout.chunks(spec, item.index):
                values = fresh.parts[chunk.part]
                if len(seen) < self._layout.header.clips_per_chunk:
                    whole = codec.blank(chunk)
                    whole[...] = kept.get(chunk.part, whole)
                    whole[seen], values = values, whole
                files[chunk.part] = chunks.publish(place, chunk, values, admit)
        sha256: list[str | None] = list(old.sha256) if old else [None] * (stop - start)
        for row, digest in zip(seen, digests.result(), strict=True):
            sha256[row] = digest
        admit()
        self._file.append(
            Entry(
                item=item.index,
                start=start,
                stop=stop,
                backbone=spec.backbone,
                array=self._vouched[spec.backbone],
                sha256=tuple(sha256),
                quarantined=(old.quarantined if old else {}) | dict(quarantined),
                bytes=sum(file.bytes for file in files.values()),
                written_at=journal.now(),
                fence=lease.fence,
                files=files,
                lost=fresh.lost + old.lost if old else fresh.lost,
            )
        )

    def _kept(self, spec: ArraySpec, item: WorkItem) -> tuple[Entry | None, Values]:
        """Give the line on those clips of an item that are not to be done again, and its values.

        They are compared clip by clip, because who was killed between writing files and their
        line has left the same clips in files that the line doesn't know.

        Raises:
            CorruptStoreError: Clips that are not to be done again are damaged.
        """
        start, stop = self._layout.bounds(item.index)
        book = self._ledger.catch_up()
        entry = book.entries.get((spec.backbone, item.index))
        if entry is None or len(item) == stop - start:
            return None, {}
        found = inspect(book, entry)
        if found.bad:
            raise CorruptStoreError(
                f"{found.what}: run polyspace store repair, and then the same command again"
            )
        return entry, found.values


def _prepare(layout: Layout, specs: Sequence[ArraySpec], file: LedgerFile) -> None:
    """Make a store or open the one that is there, and add the backbones that it lacks."""
    if not metadata.is_store(layout.path):
        metadata.create(layout, file)
    found = _found(layout, specs)
    for spec in specs:
        if spec.backbone not in found.specs:
            found = metadata.add_arrays(found, spec, file)
    metadata.confirm(layout.storage, file)


def _found(layout: Layout, specs: Sequence[ArraySpec]) -> Layout:
    """Read the store that is there, which must be of the same clips and features."""
    found = ledger.read(layout.path).layout
    identity.refuse_other_settings(found, layout.header)
    identity.refuse_other_clips(found, layout.rows)
    for spec in specs:
        identity.refuse_other_features(found, spec)
    return found

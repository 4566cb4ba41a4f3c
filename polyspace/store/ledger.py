"""The ledger: what is done, what is not, and what it was, by its lines alone."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from polyspace.errors import CorruptStoreError
from polyspace.store import fingerprint, journal, metadata, storage
from polyspace.store.encoding import Lost
from polyspace.store.journal import Entry, JournalReader, Lines
from polyspace.store.layout import Layout


@dataclass(frozen=True)
class Coverage:
    """How much of a store is there, over all of its backbones."""

    clips: int
    done: int
    """Clips that every backbone has seen."""
    quarantined: Mapping[str, str]
    """Clip ids that some backbone was denied, and why."""
    pending: int
    """Clips that are neither: the extraction was stopped before them."""


@dataclass(frozen=True)
class Ledger:
    """The line that counts of every work item and backbone, and what follows from them."""

    layout: Layout
    entries: Mapping[tuple[str, int], Entry]
    """By backbone and work item."""
    lines: Mapping[str, int]
    """How many there are in each file of the ledger, on work items and on small files."""
    sizes: Mapping[str, int]
    """Bytes of every file of the store, by key."""

    def of(self, backbone: str) -> Iterator[Entry]:
        """Give a backbone's lines in the order of the work items."""
        found = (self.entries.get((backbone, item)) for item in self.layout.items)
        return (entry for entry in found if entry is not None)

    def digests(self, backbone: str) -> list[str | None]:
        """Give each clip's sha256; None where it is pending or quarantined."""
        digests: list[str | None] = [None] * len(self.layout.rows)
        for entry in self.of(backbone):
            digests[entry.start : entry.stop] = entry.sha256
        return digests

    def done(self, backbone: str) -> Bool[ndarray, " clip"]:
        """Tell which clips have features."""
        return np.array([digest is not None for digest in self.digests(backbone)])

    def quarantined(self, backbone: str) -> dict[str, str]:
        """Give the clips that were given up, and why."""
        return {name: why for entry in self.of(backbone) for name, why in entry.quarantined.items()}

    def lost(self, backbone: str) -> Lost:
        """Give what the storage type cost a backbone's tokens."""
        return reduce(add, (entry.lost for entry in self.of(backbone)), Lost())

    def pending(self, backbone: str, item: int) -> tuple[int, ...]:
        """Give the rows of a work item that a backbone has still to see."""
        rows = range(*self.layout.bounds(item))
        entry = self.entries.get((backbone, item))
        if entry is None or self.wrong_sizes(entry):
            return tuple(rows)
        ids = self.layout.rows.ids
        return tuple(
            row
            for row, digest in zip(rows, entry.sha256, strict=True)
            if digest is None and ids[row] not in entry.quarantined
        )

    def wrong_sizes(self, entry: Entry) -> list[str]:
        """Say which files of a line are missing, short or long.

        Whoever maps a file asks first: touching a page behind its end kills the process.
        """
        chunks = self.layout.chunks(self.layout.specs[entry.backbone], entry.item)
        return [
            _wrong_size(self.layout.path / chunk.key, self.sizes.get(chunk.key), expected)
            for chunk in chunks
            if (expected := entry.size(chunk)) is not None and self.sizes.get(chunk.key) != expected
        ]

    def coverage(self) -> Coverage:
        """Sum up over all backbones."""
        clips, done = len(self.layout.rows), np.ones(len(self.layout.rows), dtype=bool)
        quarantined: dict[str, str] = {}
        for backbone in self.layout.specs:
            done &= self.done(backbone)
            quarantined |= self.quarantined(backbone)
        count = int(done.sum())
        return Coverage(clips, count, quarantined, clips - count - len(quarantined))


class Follower:
    """A store's ledger that is read on from where it was, for those who write beside others."""

    def __init__(self, path: Path, *, for_repair: bool = False) -> None:
        """Read a store as `read` does; for repair, with all that it can put right."""
        self._place = storage.at(path)
        self._journal = JournalReader(self._place)
        while True:
            said = self._place.list(journal.FOLDER)
            try:
                self._book = self._open(said, for_repair=for_repair)
                return
            except CorruptStoreError:
                # It may only look so while somebody writes, who then has added lines.
                if self._place.list(journal.FOLDER) == said:
                    raise

    @property
    def book(self) -> Ledger:
        """The ledger as it was when it was last read."""
        return self._book

    def look_again(self) -> Ledger:
        """Read what was added since, and look at all files again."""
        lines = self._journal.lines(self._place.list(journal.FOLDER))
        return self._follow(lines, self._place.list())

    def catch_up(self) -> Ledger:
        """Read what was added since; the files of new lines are taken to be as these say."""
        before = self._book
        lines = self._journal.lines(self._place.list(journal.FOLDER))
        book = self._follow(lines, before.sizes)
        said = {
            chunk.key: size
            for key, entry in book.entries.items()
            if before.entries.get(key) is not entry
            for chunk in book.layout.chunks(book.layout.specs[entry.backbone], entry.item)
            if (size := entry.size(chunk)) is not None
        }
        self._book = replace(book, sizes={**before.sizes, **said})
        return self._book

    def _open(self, said: Mapping[str, int], *, for_repair: bool) -> Ledger:
        lines = self._journal.lines(said)
        # Looked for afterwards: what the lines speak of was there before them.
        sizes = self._place.list()
        layout = metadata.read(self._place, sizes, lines, for_repair=for_repair)
        self._known = fingerprint.of_arrays(layout)
        book = Ledger(layout, self._newest(layout, lines), lines.counts, sizes)
        if for_repair:
            _refuse_unproven(layout, lines, {entry.backbone for entry in book.entries.values()})
        else:
            _refuse_lost_lines(layout, book.lines, metadata.roll(self._place, sizes))
        return book

    def _follow(self, lines: Lines, sizes: Mapping[str, int]) -> Ledger:
        layout = self._book.layout
        # Backbones that were added meanwhile concern only those who know them.
        known = {
            file: tuple(entry for entry in entries if entry.backbone in layout.specs)
            for file, entries in lines.entries.items()
        }
        entries = self._newest(layout, replace(lines, entries=known))
        self._book = Ledger(layout, entries, lines.counts, sizes)
        return self._book

    def _newest(self, layout: Layout, lines: Lines) -> dict[tuple[str, int], Entry]:
        """Of several lines on the same item and backbone, keep the one that counts."""
        entries = [entry for file in lines.entries.values() for entry in file]
        for entry in entries:
            _check(entry, layout, self._known)
        entries.sort(key=lambda entry: (entry.fence, entry.written_at))
        return {(entry.backbone, entry.item): entry for entry in entries}


def read(path: Path) -> Ledger:
    """Read all that a store says of itself: its metadata, its columns and its ledger.

    Raises:
        StoreError: There is no store, or one of another schema.
        CorruptStoreError: A small file or a line is damaged or missing, or a line vouches for
            something else than this store says it is.
    """
    return Follower(path).book


def _check(entry: Entry, layout: Layout, known: Mapping[str, str]) -> None:
    """Refuse a line that was not written for this store as it is now."""
    if known.get(entry.backbone) != entry.array or entry.item not in layout.items:
        raise CorruptStoreError(
            f"the ledger of {layout.path} vouches for item {entry.item} of {entry.backbone} under "
            f"other clips, labels, classes or weights than zarr.json and its columns now say: "
            f"restore the store from a copy, or extract it again"
        )
    start, stop = layout.bounds(entry.item)
    if (entry.start, entry.stop, len(entry.sha256)) != (start, stop, stop - start):
        raise CorruptStoreError(
            f"the ledger of {layout.path} has item {entry.item} of {entry.backbone} at rows "
            f"{entry.start} to {entry.stop}, expected {start} to {stop}: restore zarr.json from a "
            f"copy, or extract the store again"
        )


def _refuse_lost_lines(layout: Layout, found: Mapping[str, int], roll: Mapping[str, int]) -> None:
    """Refuse a ledger that has fewer lines than there were when `state` was derived from it."""
    short = {file: lines for file, lines in roll.items() if found.get(file, 0) < lines}
    if short:
        file, lines = next(iter(short.items()))
        raise CorruptStoreError(
            f"{layout.path / journal.FOLDER / file} has {found.get(file, 0)} lines, "
            f"expected {lines}: restore it from a copy, or run polyspace store repair, which takes "
            f"its clips for not done"
        )


def _refuse_unproven(layout: Layout, lines: Lines, seen: Set[str]) -> None:
    """Refuse metadata that neither its own lines nor those on work items vouch for."""
    keys = {name: f"tokens/{name}/{metadata.ROOT}" for name in layout.specs if name not in seen}
    if not seen:
        keys["clips"] = metadata.ROOT
    for name, key in keys.items():
        if key not in lines.vouched:
            raise CorruptStoreError(
                f"the ledger of {layout.path} has lost all of its lines on {name}: restore it from "
                f"a copy, or delete the store and extract it again"
            )


def _wrong_size(file: Path, found: int | None, expected: int) -> str:
    if found is None:
        return f"{file} is missing"
    return f"{file} has {found} bytes, expected {expected}"

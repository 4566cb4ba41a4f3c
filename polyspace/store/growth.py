"""A store of a data set that has grown: what was seen stays, and the new clips are pending.

The longer store is made beside the old one and takes its place when it is whole. The files of full
work items are the same files (hard links), so that it costs hardly any time or room. The last work
item is done again if it was not full, because its files hold more clips from now on.
"""

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from pathlib import Path

from polyspace.errors import StoreError
from polyspace.files import sync_folder, write_atomically
from polyspace.store import fingerprint, identity, ledger, metadata, state, storage
from polyspace.store.journal import Entry, LedgerFile
from polyspace.store.layout import ArraySpec, ClipRows, Layout, StoreHeader
from polyspace.store.lease import Leases, lease_name
from polyspace.store.ledger import Ledger
from polyspace.store.local import LocalFolder


def may_grow(path: Path) -> bool:
    """Tell whether there is a store that can be made longer: one in a folder of this machine."""
    _recover(path)
    return isinstance(storage.at(path), LocalFolder) and metadata.is_store(path)


def grow(path: Path, header: StoreHeader, rows: ClipRows, specs: Sequence[ArraySpec]) -> None:
    """Make a store longer, in place; whoever writes to it is waited for.

    A kill leaves the old store or the longer one. Readers that have the old one open go on reading
    it, as far as its last full work item.

    Args:
        path: The store.
        header: What it is about; there may be new classes.
        rows: Its clips, those that it has first and in its order.
        specs: Backbones that shall see the new clips; it keeps those that it has besides.

    Raises:
        StoreError: It is of other settings or features, or has other clips, or the same in another
            order, group or class.
        CorruptStoreError: Its metadata or its ledger is damaged.
    """
    leases = Leases(storage.at(path))
    try:
        # One at a time, and not while somebody makes or extends it.
        with leases.hold("metadata"):
            book = ledger.read(path)
            _refuse_others(book.layout, header, rows, specs)
            if len(rows) == len(book.layout.rows):
                return
            _wait_for_writers(leases, book.layout)
            _make(ledger.read(path), header, rows)
            _exchange(path)
    finally:
        leases.close()


def _refuse_others(
    layout: Layout, header: StoreHeader, rows: ClipRows, specs: Sequence[ArraySpec]
) -> None:
    """Refuse before anything is touched what the writer would refuse afterwards."""
    identity.refuse_other_settings(layout, replace(header, class_names=layout.header.class_names))
    for spec in specs:
        identity.refuse_other_features(layout, spec)
    for was, now in zip_longest(_said(layout.rows, layout.header), _said(rows, header)):
        if was and was != now:
            raise StoreError(
                f"{layout.path} holds clip, group and class {was}, expected {now}: give another "
                f"--out folder, or the data set that it was made of and more"
            )


def _said(rows: ClipRows, header: StoreHeader) -> Iterator[tuple[str, str, str]]:
    for clip, group, label in zip(rows.ids, rows.groups, rows.labels.tolist(), strict=True):
        yield clip, group, header.class_names[label]


def _wait_for_writers(leases: Leases, layout: Layout) -> None:
    """Wait until nobody holds a work item, or who does has died."""
    while not all(leases.is_free(lease_name(item)) for item in layout.items):
        time.sleep(leases.pause_seconds)


def _make(book: Ledger, header: StoreHeader, rows: ClipRows) -> None:
    """Make the longer store beside the old one; what is left of an earlier try goes."""
    old = book.layout
    place = LocalFolder(_beside(old.path, "growing"))
    shutil.rmtree(place.path, ignore_errors=True)
    layout, file = Layout(place, header, rows, {}), LedgerFile(place)
    try:
        metadata.create(layout, file)
        for spec in old.specs.values():
            layout = metadata.add_arrays(layout, spec, file)
        for entry in _carried(book, layout):
            file.append(entry)
        state.refresh(ledger.read(place.path), file)
    finally:
        file.close()


def _carried(book: Ledger, layout: Layout) -> Iterator[Entry]:
    """Link the files of each full work item; give the line that vouches for them from now on."""
    vouched = fingerprint.of_arrays(layout)
    folders = set[Path]()
    for (name, item), entry in sorted(book.entries.items()):
        full = layout.bounds(item) == (entry.start, entry.stop)
        if full and not book.wrong_sizes(entry):
            for chunk in layout.chunks(layout.specs[name], item):
                if chunk.part in (entry.files or layout.specs[name].parts):
                    folders.add(_link(book.layout.path / chunk.key, layout.path / chunk.key))
            yield entry.model_copy(update={"array": vouched[name]})
    for folder in folders:
        sync_folder(folder)


def _link(source: Path, target: Path) -> Path:
    """Give a file a second name; where the disk has no such thing, copy it. Give the folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        with source.open("rb") as file:
            write_atomically(target, partial(shutil.copyfileobj, file))
    return target.parent


def _exchange(path: Path) -> None:
    """Let the longer store take the place of the old one."""
    path.rename(_beside(path, "before"))
    _recover(path)


def _recover(path: Path) -> None:
    """Bring the two stores' change of place to its end; whoever comes by does, after a kill."""
    before = _beside(path, "before")
    if not before.is_dir():
        return
    if not path.exists():
        with suppress(FileNotFoundError):  # Somebody else has just done it.
            _beside(path, "growing").rename(path)
        sync_folder(path.parent)
    shutil.rmtree(before, ignore_errors=True)


def _beside(path: Path, what: str) -> Path:
    return path.with_name(f".{path.name}.{what}")

"""What two stores differ in, clip by clip, by what their ledgers say: no feature is read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyspace.store import ledger
from polyspace.store.layout import canonical
from polyspace.store.ledger import Ledger

SHOWN = 5
"""Clips that are named of many."""


@dataclass(frozen=True)
class Difference:
    """What two stores differ in."""

    lines: tuple[str, ...]
    """One for each way; none if they hold the same."""

    def __str__(self) -> str:
        """Say it, a line each."""
        return "\n".join(self.lines) or "the same clips, labels, settings and features"


def compare(left: Path, right: Path) -> Difference:
    """Compare two stores, however they are cut into files and compressed.

    Raises:
        StoreError: One of them is none.
        CorruptStoreError: The metadata or the ledger of one is damaged.
    """
    ours, theirs = ledger.read(left), ledger.read(right)
    return Difference(
        (
            *_settings("header", _header(ours), _header(theirs)),
            *_clips(ours, theirs),
            *_backbones(ours, theirs),
        )
    )


def _header(book: Ledger) -> dict[str, Any]:
    header = book.layout.header.identity
    return {name: header[name] for name in header if name not in ("clips_per_chunk", "compression")}


def _settings(what: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(ours.keys() | theirs.keys()):
        mine, other = canonical(ours.get(name)), canonical(theirs.get(name))
        if mine != other:
            yield f"{what} {name}: {mine} | {other}"


def _clips(ours: Ledger, theirs: Ledger) -> Iterator[str]:
    """Compare which clips there are, and what is said of those that both have."""
    mine, other = _by_id(ours), _by_id(theirs)
    yield from _named("clips only on the left", [clip for clip in mine if clip not in other])
    yield from _named("clips only on the right", [clip for clip in other if clip not in mine])
    shared = [clip for clip in mine if clip in other]
    yield from _named(
        "clips with another group or label", [clip for clip in shared if mine[clip] != other[clip]]
    )


def _backbones(ours: Ledger, theirs: Ledger) -> Iterator[str]:
    mine, other = ours.layout.specs, theirs.layout.specs
    yield from _named("backbones only on the left", [name for name in mine if name not in other])
    yield from _named("backbones only on the right", [name for name in other if name not in mine])
    for name in (name for name in mine if name in other):
        yield from _settings(name, mine[name].identity, other[name].identity)
        left, right = _features(ours, name), _features(theirs, name)
        shared = [clip for clip in left if clip in right]
        yield from _named(
            f"clips with other features of {name}",
            [clip for clip in shared if _differ(left[clip], right[clip])],
        )
        for place, one, two in (("left", left, right), ("right", right, left)):
            held = [clip for clip in shared if one[clip] is not None and two[clip] is None]
            yield from _named(f"clips with features of {name} only on the {place}", held)


def _differ(left: str | None, right: str | None) -> bool:
    return left is not None and right is not None and left != right


def _by_id(book: Ledger) -> dict[str, tuple[str, int]]:
    rows = book.layout.rows
    return {
        clip: (group, label)
        for clip, group, label in zip(rows.ids, rows.groups, rows.labels.tolist(), strict=True)
    }


def _features(book: Ledger, backbone: str) -> dict[str, str | None]:
    return dict(zip(book.layout.rows.ids, book.digests(backbone), strict=True))


def _named(what: str, clips: Sequence[str]) -> Iterator[str]:
    """Name some of the clips, if there are any."""
    if clips:
        more = f" and {len(clips) - SHOWN} more" if len(clips) > SHOWN else ""
        yield f"{len(clips)} {what}: {', '.join(clips[:SHOWN])}{more}"

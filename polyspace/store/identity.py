"""Whether a store is the one that somebody means: its settings, its clips and its features."""

from collections.abc import Mapping
from typing import Any

from polyspace.errors import StoreError
from polyspace.store.layout import ArraySpec, ClipRows, Layout, StoreHeader, canonical


def refuse_other_settings(layout: Layout, header: StoreHeader) -> None:
    """Refuse a store of another data set, split or protocol, or of other classes.

    Raises:
        StoreError: It is one.
    """
    _refuse(f"{layout.path} was made with", layout.header.identity, header.identity)


def refuse_other_clips(layout: Layout, rows: ClipRows) -> None:
    """Refuse a store of other clips, or of the same in another order.

    Raises:
        StoreError: It is one.
    """
    _refuse(f"{layout.path} was made with", layout.rows.identity, rows.identity)


def refuse_other_features(layout: Layout, spec: ArraySpec) -> None:
    """Refuse to mix a backbone's features with those of other weights, shape or type.

    Raises:
        StoreError: The store's are such.
    """
    if found := layout.specs.get(spec.backbone):
        _refuse(f"{layout.path} holds {spec.backbone} with", found.identity, spec.identity)


def _refuse(whose: str, found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Compare two identities.

    Raises:
        StoreError: They differ; the message shows where.
    """
    for name, value in expected.items():
        if canonical(found[name]) != canonical(value):
            raise StoreError(
                f"{whose} {name} {_show(found[name], value)}, expected "
                f"{_show(value, found[name])}: give another --out folder, or the settings and "
                f"weights it was made with"
            )


def _show(mine: object, theirs: object) -> str:
    """Show a value next to another one, long lists by where they part."""
    if not isinstance(mine, list | tuple) or not isinstance(theirs, list | tuple):
        return canonical(mine)
    if len(mine) != len(theirs):
        return f"of {len(mine)} entries"
    row = next(row for row, pair in enumerate(zip(mine, theirs, strict=True)) if pair[0] != pair[1])
    return f"{mine[row]!r} at place {row}"

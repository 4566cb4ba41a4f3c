"""Fingerprints: which clips, classes, weights and bytes a store holds, in 64 characters."""

import hashlib
from collections.abc import Mapping, Sequence

from polyspace.store.layout import Layout, canonical


def of_arrays(layout: Layout) -> dict[str, str]:
    """Give for each backbone the sha256 of what its arrays are about, whatever is in them.

    Every line of the ledger carries it: a line can't vouch for other clips, labels, classes or
    weights than those it was written for.
    """
    header = layout.header.identity
    # The same clips cut into other files are the same clips.
    header.pop("clips_per_chunk")
    header.pop("compression")
    rows = _sha256(layout.rows.identity)
    return {
        name: _sha256({"header": header, "rows": rows, "array": spec.identity})
        for name, spec in layout.specs.items()
    }


def of_store(layout: Layout, digests: Mapping[str, Sequence[str | None]]) -> str:
    """Give the sha256 of a store's whole content, for lineage.

    It is the same however the clips are cut into files, in whatever order, and by however many
    writers they were written.

    Args:
        layout: What the store says that it is.
        digests: For every backbone that counts, each clip's sha256; None where it has none.
    """
    arrays = of_arrays(layout)
    return _sha256({name: [arrays[name], *rows] for name, rows in digests.items()})


def _sha256(value: object) -> str:
    return hashlib.sha256(canonical(value).encode()).hexdigest()

"""All formats of an export in a terminal."""

from rich import box
from rich.table import Table
from rich.text import Text

from polyspace.report.exports import formats
from polyspace.report.records.exports import Exports


def table(exports: Exports) -> Table:
    """Lay out every format, the largest first."""
    proofs = exports.proofs
    clips = f"{proofs[0].dataset}, {proofs[0].split}: {proofs[0].clips} clips" if proofs else ""
    note = "time: of so many clips at once, beside float32 in torch" if _is_timed(exports) else None
    view = Table(title=Text(clips), caption=note, box=box.SIMPLE_HEAD)
    rows = list(formats.rows(exports))
    head = list(rows[0]) if rows else ["format"]
    for place, name in enumerate(head):
        view.add_column(name, justify="right" if place else "left", no_wrap=True)
    # Names and reasons come from records: as `Text`, square brackets in them are no markup.
    for row in rows:
        view.add_row(*(Text(row[name]) for name in head))
    return view


def _is_timed(exports: Exports) -> bool:
    return any(proof.latency for proof in exports.proofs)

"""All formats of an export side by side, as tables, and as numbers for programs."""

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from polyspace.report import words
from polyspace.report.blocks import Block, Inline, Link, Paragraph, Table
from polyspace.report.exports import proof as one
from polyspace.report.exports import tables
from polyspace.report.records.exports import Exported, Exports
from polyspace.report.records.proof import Latency, Proof


def batches(proofs: Sequence[Proof]) -> list[int]:
    """Give the batches that any format was timed with, smallest first."""
    return sorted({latency.batch for proof in proofs for latency in proof.latency})


def machines(proofs: Sequence[Proof]) -> list[str]:
    """Name the machines that formats were measured on, each once."""
    return list(dict.fromkeys(words.machine(proof.device, proof.threads) for proof in proofs))


def agreement(exports: Exports, *, links: str | None = None) -> Table:
    """Give size and agreement of every format.

    Args:
        exports: What is there.
        links: Where the folder of the bundles lies, as seen from the page, for links to the pages
            of proof; None: no links.
    """
    head = ("format", "size", "of float32", "top-1", "points", "same class", "divergence")
    rows = [_agreeing(exported, links) for exported in exports.formats]
    return Table(head, rows)


def cost(exports: Exports) -> list[Block]:
    """Give time, load and memory of every format, and what they hold for."""
    proofs = exports.proofs
    shown = batches(proofs)
    if not shown and not any(proof.memory or proof.load_seconds for proof in proofs):
        return [Paragraph("Time and memory were not measured when these proofs were made.")]
    head = ("format", "computes in", *(f"time, {batch} at once" for batch in shown))
    rows = [
        (
            proof.kind,
            proof.compute.export,
            *(_ratio(proof.at(batch)) for batch in shown),
            f"{words.figures(proof.load_seconds.export)} s" if proof.load_seconds else words.NONE,
            words.size(proof.memory.export_bytes) if proof.memory else words.NONE,
        )
        for proof in proofs
    ]
    return [Table((*head, "load", "memory"), rows, text=2), Paragraph(_basis(proofs), quiet=True)]


def refused(exports: Exports) -> list[Block]:
    """Say which formats there are none of, and why."""
    rows = [(name, why) for name, why in exports.refused.items()]
    return [Table(("format", "why"), rows, text=2)]


def rows(exports: Exports) -> Iterator[Mapping[str, str]]:
    """Give the formats as texts by column, for tables elsewhere; times of the ends alone."""
    shown = batches(exports.proofs)
    for proof in exports.proofs:
        yield {
            "format": proof.kind,
            "size": words.size(proof.bytes),
            "of float32": words.decimal(proof.ratio),
            "top-1": words.percent(proof.top1_export.value),
            "points": words.signed(proof.difference_points.value),
            "same class": f"{proof.same} of {proof.clips}",
            **{f"time, {n}": _ratio(proof.at(n)) for n in dict.fromkeys(shown[:1] + shown[-1:])},
        }


def figures(proof: Proof) -> dict[str, float]:
    """Give what was measured of a format as numbers, named export/FORMAT/FIGURE."""
    found: dict[str, float] = {
        "ratio": proof.ratio,
        "bytes": proof.bytes,
        "top1": proof.top1_export.value,
        "difference_points": proof.difference_points.value,
        "agreement": proof.agreement,
        "mean_kl": proof.mean_kl,
        "max_abs_logit": proof.max_abs_logit,
        **{f"time_ratio/batch_{one.batch}": one.ratio.median for one in proof.latency},
        **{f"milliseconds/batch_{one.batch}": one.export_ms.median for one in proof.latency},
    }
    if proof.load_seconds:
        found["load_seconds"] = proof.load_seconds.export
    if proof.memory:
        found["memory_bytes"] = proof.memory.export_bytes
    return {f"export/{proof.kind}/{name}": float(value) for name, value in found.items()}


def sentence(exports: Exports) -> str:
    """Say which format is the smallest and which the fastest, first of those that changed nothing.

    Speed counts only where it was measured.
    """
    true = [proof for proof in exports.proofs if proof.same == proof.clips]
    others = [proof for proof in exports.proofs if proof.same < proof.clips]
    parts = [
        _best(true, ("gives", "give"), "every clip the class that it had"),
        _best(others, ("changes", "change"), "the class of some clips"),
        f"Refused: {words.listed(list(exports.refused))}." if exports.refused else "",
    ]
    return " ".join(part for part in parts if part) or "There is no bundle."


def _best(proofs: Sequence[Proof], verbs: tuple[str, str], what: str) -> str:
    """Say what some formats have in common, which is the smallest, and which the fastest."""
    if not proofs:
        return ""
    names = words.listed([proof.kind for proof in proofs])
    common = f"{names} {verbs[len(proofs) > 1]} {what}"
    small = min(proofs, key=lambda proof: proof.ratio)
    said = [f"the smallest is {small.kind} ({small.ratio:.3f} of float32)"]
    timed = [(first, proof.kind) for proof in proofs if (first := proof.first)]
    if timed:
        first, kind = min(timed, key=lambda entry: entry[0].ratio.median)
        clips = one.one_batch(first.batch)
        said.append(f"the fastest {kind} ({words.times(first.ratio)} of the time, {clips})")
    return f"{common}; {', '.join(said)}."


def _agreeing(exported: Exported, links: str | None) -> tuple[Inline, ...]:
    proof = exported.proof
    page = f"{links}{quote(exported.folder)}/{one.PAGE}" if links is not None else None
    apart = proof.difference_points
    return (
        Link(proof.kind, page) if page else proof.kind,
        words.size(proof.bytes),
        words.decimal(proof.ratio),
        tables.shares(proof.top1_export),
        f"{words.signed(apart.value)} [{words.signed(apart.low)}, {words.signed(apart.high)}]",
        f"{proof.same} of {proof.clips}",
        tables.small(proof.mean_kl),
    )


def _ratio(latency: Latency | None) -> str:
    return f"{words.factor(latency.ratio.median)} {words.TIMES}" if latency else words.NONE


def _basis(proofs: Sequence[Proof]) -> str:
    """Say what the costs hold for; machines are named, for they may not all be the same."""
    named = machines(proofs)
    memory = dict.fromkeys(proof.memory.words.rstrip(".") for proof in proofs if proof.memory)
    differ = " Formats were measured on different machines." if len(named) > 1 else ""
    return (
        f"Time: of a batch of so many clips, beside the same model as float32 in torch; medians of "
        f"ratios, round by round, whose spread each page of proof has. Load: beyond imports. "
        f"{''.join(f'Memory: {words_}. ' for words_ in memory)}Measured on "
        f"{'; '.join(named)}.{differ}"
    )

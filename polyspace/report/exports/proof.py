"""The page of one proof: whether an exported model is still the one that was trained."""

from collections.abc import Iterator
from pathlib import Path

from polyspace.report import output, words
from polyspace.report.blocks import (
    Answer,
    Block,
    Code,
    Document,
    Facts,
    Heading,
    Listing,
    Paragraph,
    Section,
    Table,
)
from polyspace.report.exports import census, tables, usage
from polyspace.report.records.bundle import Bundle, read_bundle
from polyspace.report.records.proof import Proof, read_proof

PAGE = "proof.html"
LISTED = 20
"""Clips whose class changed that a proof lists at most."""


def write(folder: Path) -> Path:
    """Write proof.html beside a bundle's config.json and proof.json; give its path.

    Raises:
        RecordError: One of both is missing, or of another version.
    """
    bundle, proof = read_bundle(folder / "config.json"), read_proof(folder / "proof.json")
    return output.write_page(compose(bundle, proof), folder / PAGE)


def compose(bundle: Bundle, proof: Proof) -> Document:
    """Put the page together."""
    return Document(
        title=f"PolySpace: {proof.kind} export, proved",
        over=(
            f"{bundle.student.name} on {proof.dataset} · {proof.device} · "
            f"{words.moment(proof.created)}"
        ),
        warnings=list(warnings(bundle)),
        answer=Answer(
            question="Is the exported model still the one that was trained?",
            said=f"{sentence(proof)} {_top1(proof)}",
            verdict="better" if has_limits(proof) else "open",
            figures=figures(proof),
        ),
        command=proof.command,
        sections=tuple(_sections(bundle, proof)),
    )


def sentence(proof: Proof) -> str:
    """Say in one line how true, how small and how fast it is; nothing that wasn't measured."""
    parts = [
        f"the same class on {proof.same} of {proof.clips} clips",
        f"{proof.ratio:.3f} of the size",
    ]
    if first := proof.first:
        ratio = f"{words.factor(first.ratio.median)} {words.TIMES} the time"
        parts.append(f"{ratio} ({one_batch(first.batch)})")
    return f"{proof.kind}: {', '.join(parts)}."


def one_batch(clips: int) -> str:
    """Say how many clips went at a time."""
    return "one clip at a time" if clips == 1 else f"{clips} clips at a time"


def warnings(bundle: Bundle) -> Iterator[str]:
    """Give what a reader must know before believing any figure."""
    if bundle.random_weights:
        yield (
            f"Random weights: {', '.join(bundle.random_weights)}. These backbones were never "
            f"trained; the export agrees with its source, and the source has learnt nothing from "
            f"them."
        )


def figures(proof: Proof) -> dict[str, str]:
    """Give the few numbers to remember."""
    ends = (proof.first, max(proof.latency, key=lambda one: one.batch, default=None))
    timed = {
        f"of the time, {one_batch(one.batch)}": f"{words.factor(one.ratio.median)} {words.TIMES}"
        for one in ends
        if one
    }
    return {
        "same class": words.percent(proof.agreement),
        "of the file size": words.decimal(proof.ratio),
        f"points of top-1 {_interval(proof)}": words.signed(proof.difference_points.value),
        **timed,
    }


def has_limits(proof: Proof) -> bool:
    """Tell whether the proof could have failed."""
    return any(limit is not None for limit in proof.thresholds.model_dump().values())


def provenance(bundle: Bundle, proof: Proof) -> Facts:
    """List what decides every figure."""
    asked = {
        "points of top-1, apart at most": proof.thresholds.points,
        "share of the same class, at least": proof.thresholds.agreement,
        "mean divergence, at most": proof.thresholds.mean_kl,
    }
    limits = [f"{what} {limit:g}" for what, limit in asked.items() if limit is not None]
    sources = bundle.quantization_info.source_sha256
    return Facts(
        {
            "command": Code(proof.command),
            "made": f"{words.moment(proof.created)}, in {proof.seconds:.0f} s",
            **{f"sha256, {name}": Code(digest) for name, digest in sources.items()},
            "held-out clips": f"{proof.dataset}, {proof.split} split: {proof.clips}",
            "features": Code(proof.fingerprint),
            "thresholds": "; ".join(limits) or "none",
            "device": words.machine(proof.device, proof.threads),
            "computes in": f"{proof.compute.export}: {proof.compute.reason}",
            "versions": " · ".join(f"{name} {number}" for name, number in proof.versions.items()),
        }
    )


def changed(proof: Proof) -> list[Block]:
    """List the clips to which the export gives another class."""
    count = proof.clips - proof.same
    if not count:
        return [Paragraph(f"None: all {proof.clips} clips have the class that they had.")]
    rows = [
        (clip.id, clip.label, clip.before, clip.after, f"{clip.margin:.3f}")
        for clip in proof.changed
    ]
    verb = "has" if count == 1 else "have"
    some = f"; the first {len(rows)} are listed" if len(rows) < count else ""
    return [
        Paragraph(f"{count} of {proof.clips} clips {verb} another class than before{some}."),
        Table(("clip", "true class", "before", "after", "margin before"), rows, text=4),
        Paragraph(
            "Margin: the source's chance of its first class less that of its second.", quiet=True
        ),
    ]


def _sections(bundle: Bundle, proof: Proof) -> Iterator[Section]:
    yield Section("size", "Model size comparison", tables.sizes(proof))
    yield Section("time", "Inference performance", tables.times(proof))
    yield Section("accuracy", "Accuracy impact", tables.accuracy(proof))
    yield Section("changed", "Clips whose class changed", changed(proof))
    stored = [*census.policy(bundle), Heading("Tensors"), *census.tensors(bundle)]
    yield Section("weights", "How the weights are stored", stored)
    yield Section("use", "How to load it", loading(bundle))
    yield Section("provenance", "Provenance", [provenance(bundle, proof)])


def loading(bundle: Bundle) -> list[Block]:
    """Show code that loads a bundle; run from the folder that holds it."""
    blocks: list[Block] = [Listing(usage.python(bundle))]
    blocks += [Heading("In a terminal"), Listing(usage.terminal(bundle))]
    if graph := usage.onnx(bundle):
        blocks += [Heading("Without PolySpace"), Listing(graph)]
    return blocks


def _top1(proof: Proof) -> str:
    return (
        f"Top-1 is {tables.shares(proof.top1_source)} before and "
        f"{tables.shares(proof.top1_export)} after: {words.signed(proof.difference_points.value)} "
        f"points {_interval(proof)}."
    )


def _interval(proof: Proof) -> str:
    difference = proof.difference_points
    return f"[{words.signed(difference.low)}, {words.signed(difference.high)}]"

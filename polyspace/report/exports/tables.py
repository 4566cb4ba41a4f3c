"""What was measured of an export, as tables; what was not measured is in none."""

from collections.abc import Iterator

from polyspace.report import words
from polyspace.report.blocks import Block, Noted, Paragraph, Table
from polyspace.report.records.proof import Latency, Proof, Thresholds
from polyspace.report.records.record import Estimate

SOURCE = "float32"
"""What the source is called: the same model as float32 weights that torch runs."""
UNTIMED = "Time was not measured when this proof was made, so there is no table of it."
UNSTEADY = 2.0
"""How many times as large the high end of a ratio's rounds may be as the low end."""
UNWEIGHED = "Memory was not measured when this proof was made."


def sizes(proof: Proof) -> list[Block]:
    """Compare memory and file size."""
    files = [words.size(proof.float32_bytes), words.size(proof.bytes)]
    memory = proof.memory
    peaks = [memory.source_bytes, memory.export_bytes] if memory else []
    head = ("configuration", *(["memory"] if memory else []), "file size", "reduction")
    gained = [words.NONE, words.percent(1 - proof.ratio).replace("-", words.MINUS)]
    rows = [
        (name, *([words.size(peaks[place])] if memory else []), files[place], gained[place])
        for place, name in enumerate((SOURCE, proof.kind))
    ]
    said = (
        f"Memory: {memory.words.rstrip('.')}. Measured on {proof.device}." if memory else UNWEIGHED
    )
    sizes = f"File size: {proof.bytes:,} instead of {proof.float32_bytes:,} bytes."
    return [Table(head, rows), Paragraph(f"{sizes} {said}", quiet=True)]


def times(proof: Proof) -> list[Block]:
    """Compare the time of batches, and of loading."""
    loading = _loading(proof)
    if not proof.latency:
        return [Paragraph(UNTIMED), *loading]
    head = ("clips at a time", f"{SOURCE} (ms)", f"{proof.kind} (ms)", "ratio", "speedup", "rounds")
    rows = [_timed(latency) for latency in proof.latency]
    doubts = [Paragraph(said)] if (said := unsteady(proof)) else []
    return [*doubts, Table(head, rows), Paragraph(basis(proof), quiet=True), *loading]


def unsteady(proof: Proof) -> str:
    """Say where rounds differ so much that times mean little; nothing where they don't."""
    shaky = [
        latency.batch
        for latency in proof.latency
        if latency.ratio.high > UNSTEADY * latency.ratio.low
    ]
    if not shaky:
        return ""
    return (
        f"The ratios of single rounds differ by more than a factor of {UNSTEADY:g} (batches of "
        f"{words.listed([str(batch) for batch in shaky])}): the machine was busy. Measure again "
        f"where it is quiet before relying on these times."
    )


def basis(proof: Proof) -> str:
    """Say what times hold for."""
    machine = words.machine(proof.device, proof.threads)
    return (
        f"Medians, with the middle eight tenths of the rounds; both models in one process, in "
        f"turn, and ratios round by round. Measured on {machine}; "
        f"{SOURCE} computes in {proof.compute.source}, {proof.kind} in {proof.compute.export}: "
        f"{proof.compute.reason.rstrip('.')}."
    )


def accuracy(proof: Proof) -> list[Block]:
    """Compare accuracies."""
    change = f"{words.signed(proof.difference_points.value)} {_points(proof.difference_points)}"
    row = ("top-1", shares(proof.top1_source), shares(proof.top1_export), change)
    groups = f" from {proof.groups} groups" if proof.groups else ""
    rest = f"{proof.clips} clips{groups} of {proof.dataset}, {proof.split} split"
    views = f", {proof.looks // proof.clips} views each" if proof.looks > proof.clips else ""
    return [
        Table(("metric", "before", "after", "difference in points"), [row]),
        Paragraph(
            f"On {rest}{views}, with 95 % intervals by a bootstrap over groups; the "
            f"difference is paired by clip.",
            quiet=True,
        ),
        Table(("agreement", "found", "allowed"), list(_agreement(proof))),
        Paragraph(
            "Divergence: KL of the source's chances from the export's, in nats. What has no limit "
            "was not asked to keep one.",
            quiet=True,
        ),
    ]


def shares(estimate: Estimate) -> str:
    """Write a share with its interval: ``73.6 % [66.0, 80.1]``."""
    return f"{words.percent(estimate.value)} {words.interval(estimate)}"


def small(value: float) -> str:
    """Write two figures of a number that may be tiny: ``2.3e-5``."""
    return f"{value:.2g}".replace("e-0", "e-").replace("-", words.MINUS)


def _points(estimate: Estimate) -> str:
    return f"[{words.signed(estimate.low)}, {words.signed(estimate.high)}]"


def _timed(latency: Latency) -> tuple[str, ...]:
    return (
        str(latency.batch),
        words.milliseconds(latency.source_ms),
        words.milliseconds(latency.export_ms),
        words.times(latency.ratio),
        f"{1 / latency.ratio.median:.2f} {words.TIMES}",
        str(latency.repeats),
    )


def _loading(proof: Proof) -> list[Block]:
    found = proof.load_seconds
    if found is None:
        return []
    return [
        Paragraph(
            f"Loading takes {words.figures(found.export)} s beyond imports, its files' sums "
            f"verified; the {SOURCE} bundle takes {words.figures(found.source)} s."
        )
    ]


def _agreement(proof: Proof) -> Iterator[tuple[str | Noted, str, str]]:
    asked: Thresholds = proof.thresholds
    same = f"{words.percent(proof.agreement)}, {proof.same} of {proof.clips}"
    least = "" if asked.agreement is None else f"{words.percent(asked.agreement)} at least"
    yield "clips with the same class", same, least or words.NONE
    apart = abs(proof.difference_points.value)
    yield "top-1, points apart", f"{apart:.2f}", _most(asked.points)
    yield "divergence, mean", small(proof.mean_kl), _most(asked.mean_kl)
    yield "divergence, largest", small(proof.max_kl), words.NONE
    yield "change of a logit, mean", small(proof.mean_abs_logit), words.NONE
    yield "change of a logit, largest", small(proof.max_abs_logit), words.NONE


def _most(limit: float | None) -> str:
    return words.NONE if limit is None else f"{limit:g} at most"

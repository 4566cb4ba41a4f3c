"""How far an export may differ from its source: each format's own limits, and the judgement."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from polyspace.errors import ExportError
from polyspace.export.formats.kinds import FormatName
from polyspace.export.proof.compare import Comparison


@dataclass(frozen=True)
class Thresholds:
    """What a proof has to show; None: anything."""

    points: float | None = None
    """Largest difference in top-1 accuracy, up or down, in points."""
    agreement: float | None = None
    """Smallest share of clips to which both give the same class."""
    mean_kl: float | None = None
    """Largest mean divergence of the chances, in nats."""


ROUNDED = Thresholds(points=0.1)
"""A rewritten graph, or weights of half the width."""
COARSE = Thresholds(points=0.5)
"""A byte a weight."""

OWN: Mapping[FormatName, Thresholds] = {
    "fp32": Thresholds(points=0.0, agreement=1.0),
    "fp16": ROUNDED,
    "bf16": ROUNDED,
    "mixed": ROUNDED,
    "int8": COARSE,
    "onnx": ROUNDED,
    "onnx_int8": COARSE,
    "onnx_int8_static": COARSE,
    "pt2": ROUNDED,
    "torchao_int8": COARSE,
    "aotinductor": ROUNDED,
}
"""What each format is held to where nothing else is said."""


def decide(
    name: FormatName,
    *,
    points: float | None = None,
    agreement: float | None = None,
    mean_kl: float | None = None,
) -> Thresholds:
    """Take a format's own limits, but for those that were given."""
    own = OWN[name]
    return Thresholds(
        own.points if points is None else points,
        own.agreement if agreement is None else agreement,
        own.mean_kl if mean_kl is None else mean_kl,
    )


def enforce(found: Comparison, allowed: Thresholds, name: FormatName) -> None:
    """Refuse an export that differs by more than is allowed.

    Raises:
        ExportError: It does; the message says by what, and what was allowed.
    """
    broken = list(_broken(found, allowed))
    if broken:
        raise ExportError(
            f"{name} differs from its source on {found.clips} held-out clips by "
            f"{' and '.join(broken)}: nothing was published; choose a wider format, keep modules "
            f"with --keep-float32, or allow more"
        )


def _broken(found: Comparison, allowed: Thresholds) -> Iterator[str]:
    points = abs(found.difference_points.value)
    # Written so that NaN, which compares false with everything, is refused.
    if allowed.points is not None and not points <= allowed.points:
        yield f"{points:.2f} points of top-1 (allowed: {allowed.points:g}, --threshold-points)"
    if allowed.agreement is not None and not found.agreement >= allowed.agreement:
        yield (
            f"an agreement of {found.agreement:.4f} (allowed: at least {allowed.agreement:g}, "
            f"--threshold-agreement)"
        )
    if allowed.mean_kl is not None and not found.mean_kl <= allowed.mean_kl:
        yield (
            f"a mean divergence of {found.mean_kl:.3g} nats (allowed: {allowed.mean_kl:g}, "
            f"--threshold-kl)"
        )

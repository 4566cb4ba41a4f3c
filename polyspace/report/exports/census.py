"""How a model's tensors were stored, and what that did to their values."""

from polyspace.report import words
from polyspace.report.blocks import Block, Facts, Folded, Paragraph, Table
from polyspace.report.records.bundle import Bundle, Quantization, TensorRecord


def policy(bundle: Bundle) -> list[Block]:
    """Say which tensors are stored in which type, with counts."""
    info = bundle.quantization_info
    kept = info.policy.keep_float32
    given = {
        "stored": info.policy.storage,
        "kept float32 on request": ", ".join(kept) or "nothing",
        "trained values": _counts(info.parameters),
        "measured and counted values": _counts(info.buffers),
    }
    return [Facts(given)]


def tensors(bundle: Bundle) -> list[Block]:
    """Give every tensor, the worst first, folded; above it what stands out."""
    info = bundle.quantization_info
    rows = [_row(tensor) for tensor in worst_first(info)]
    head = ("tensor", "type", "values", "largest", "overflow", "subnormal", "worst error", "rms")
    return [
        Paragraph(_summary(info)),
        Folded(
            f"All {len(rows)} tensors, the worst first",
            [
                Table(head, rows, text=2),
                Paragraph(
                    "Overflow: values that the type can't hold. Subnormal: values kept with fewer "
                    "bits than usual, or as zero. Worst error: relative, of values in the type's "
                    "normal range; of int8, over the row's largest. Rms: root of the mean squared "
                    "error over that of the values.",
                    quiet=True,
                ),
            ],
        ),
    ]


def worst_first(info: Quantization) -> list[TensorRecord]:
    """Sort tensors by what storing cost them: overflow, then rms error, then subnormal values."""
    return sorted(info.tensors, key=lambda t: (-t.overflow, -t.rms_error, -t.subnormal, t.name))


def _summary(info: Quantization) -> str:
    rounded = [tensor for tensor in info.tensors if tensor.rms_error > 0]
    overflow = sum(tensor.overflow for tensor in info.tensors)
    if not rounded:
        return f"None of the {len(info.tensors)} tensors was changed by storing it."
    worst = worst_first(info)[0]
    subnormal = sum(tensor.subnormal for tensor in info.tensors)
    return (
        f"{len(rounded)} of {len(info.tensors)} tensors were rounded; {overflow:,} values overflow "
        f"and {subnormal:,} are subnormal. {worst.name} lost the most: rms error "
        f"{_error(worst.rms_error)}."
    )


def _row(tensor: TensorRecord) -> tuple[str, ...]:
    return (
        tensor.name,
        tensor.dtype,
        f"{tensor.count:,}",
        words.figures(tensor.largest),
        f"{tensor.overflow:,}",
        f"{tensor.subnormal:,}",
        _error(tensor.worst_relative_error),
        _error(tensor.rms_error),
    )


def _counts(by_type: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {dtype}" for dtype, count in by_type.items()) or "none"


def _error(share: float) -> str:
    return f"{share:.1e}".replace("e-0", "e-").replace("-", words.MINUS) if share else "0"

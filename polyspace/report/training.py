"""What a training came to, from its curves: a table for people, and the few numbers that count."""

from collections.abc import Sequence
from statistics import fmean

from polyspace.report import words
from polyspace.report.records.training import Curves

TOGETHER = "r2"
"""Score by which one epoch is kept for all teachers, where they share a trunk."""


def converters(
    curves: Curves, teachers: Sequence[str], *, together: bool = False
) -> list[dict[str, str]]:
    """Give the variance explained on the hold-out, by teacher, in the epoch that was kept.

    Args:
        curves: What training left.
        teachers: Rows, in this order.
        together: Whether one epoch was kept for all, because they share a trunk.
    """
    kept = _kept(curves, teachers, together=together)
    return [
        {
            "teacher": name,
            "R\N{SUPERSCRIPT TWO} on the hold-out": words.decimal(kept[name][f"r2/{name}"]),
            "epoch kept": f"{kept[name]['epoch']:.0f} of {_last(curves)}",
        }
        for name in teachers
    ]


def explained(curves: Curves, teachers: Sequence[str], *, together: bool = False) -> float:
    """Give the mean over teachers of the variance that the kept converters explain."""
    kept = _kept(curves, teachers, together=together)
    return fmean(kept[name][f"r2/{name}"] for name in teachers)


def fusion(curves: Curves) -> list[dict[str, str]]:
    """Give what the head scored on the hold-out in the epoch that was kept."""
    kept = curves.best("top1", "log_likelihood")
    return [
        {
            "top-1 on the hold-out": words.percent(kept["top1"]),
            "cross-entropy there": words.decimal(-kept["log_likelihood"]),
            "epoch kept": f"{kept['epoch']:.0f} of {_last(curves)}",
        }
    ]


def accuracy(curves: Curves) -> float:
    """Give the top-1 accuracy on the hold-out of the epoch that was kept."""
    return curves.best("top1", "log_likelihood")["top1"]


def _kept(
    curves: Curves, teachers: Sequence[str], *, together: bool
) -> dict[str, dict[str, float]]:
    shared = (TOGETHER, *(f"r2/{name}" for name in teachers))
    return {name: curves.best(*(shared if together else (f"r2/{name}",))) for name in teachers}


def _last(curves: Curves) -> int:
    return max((int(epoch["epoch"]) for epoch in curves.epochs), default=0)

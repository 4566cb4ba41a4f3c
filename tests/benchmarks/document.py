"""What every benchmark's document says alike: ratios with their spread, and the machine."""

import os
import platform
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path


def spread(values: Sequence[float]) -> str:
    """Give the median and, in brackets, the extremes, to two significant digits or decimals."""
    low, middle, high = map(_short, (min(values), statistics.median(values), max(values)))
    return f"**{middle}** [{low}, {high}]"


def machine() -> str:
    """Name cores, memory, system and Python."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} shared {platform.machine()} cores, {memory:.0f} GiB, "
        f"{platform.system()}, Python {platform.python_version()}"
    )


def publish(text: str, out: Path | None) -> None:
    """Print a document, and write it down where that is asked for."""
    sys.stdout.write(text)
    if out:
        out.write_text(text)


def _short(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"

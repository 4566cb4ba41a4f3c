"""How numbers are written: the same way in the page, in the pictures and in the terminal."""

import math
import re
from collections.abc import Sequence
from datetime import datetime

from polyspace.report.records.evaluation import Evaluation
from polyspace.report.records.inference import Span
from polyspace.report.records.record import Estimate

STEMS = {"knn": "kNN probe", "linear": "linear probe", "attentive": "attentive probe"}
"""Words of what names that are no words begin with."""
MINUS = "\N{MINUS SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"
NONE = "\N{EN DASH}"
NO_BREAK = "\N{NO-BREAK SPACE}"
TOGETHER = re.compile(
    rf"(?<=\d) (?=[%{TIMES}])|(?<=\d,) (?=[\d+{MINUS}])|(?<=\bp) (?=[=<])|(?<=[=<]) (?=[.\d])"
)


def percent(share: float) -> str:
    """Write a share of one with one decimal: ``71.2 %``."""
    return NONE if math.isnan(share) else f"{share * 100:.1f} %"


def interval(estimate: Estimate) -> str:
    """Write a share's interval in percent: ``[66.0, 76.1]``."""
    return f"[{estimate.low * 100:.1f}, {estimate.high * 100:.1f}]"


def points(difference: float) -> str:
    """Write a difference between two shares with its sign: ``+5.2``."""
    # Plus nothing, so that what rounds to zero from below isn't written as minus zero.
    return f"{round(difference * 100, 1) + 0.0:+.1f}".replace("-", MINUS)


def signed_interval(estimate: Estimate) -> str:
    """Write a difference's interval in points: ``[+1.0, +9.1]``."""
    return f"[{points(estimate.low)}, {points(estimate.high)}]"


def decimal(value: float) -> str:
    """Write a plain number with three decimals."""
    return NONE if math.isnan(value) else f"{value:.3f}".replace("-", MINUS)


def milliseconds(span: Span) -> str:
    """Write a median and the middle eight tenths: ``12.3 [11.9, 14.0]``."""
    return f"{figures(span.median)} [{figures(span.low)}, {figures(span.high)}]"


def figures(value: float) -> str:
    """Write three figures of a number, never as a power of ten: ``0.0123``, ``12.3``, ``1230``."""
    if not value:
        return "0"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{places}f}"


def times(ratio: Span) -> str:
    """Write a ratio and the middle eight tenths: ``1.01 [0.98, 1.05]``."""
    return f"{factor(ratio.median)} [{factor(ratio.low)}, {factor(ratio.high)}]"


def factor(ratio: float) -> str:
    """Write a ratio with two decimals, or three where two would leave next to nothing of it."""
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.3f}"


def machine(device: str, threads: int) -> str:
    """Name a device and how many threads ran there."""
    return f"{device}, {threads} thread{'' if threads == 1 else 's'}"


def signed(value: float) -> str:
    """Write a difference that already is in points with its sign: ``+0.71``."""
    return f"{round(value, 2) + 0.0:+.2f}".replace("-", MINUS)


def probability(p: float) -> str:
    """Write a p-value: ``p = .014``, ``p < .001``."""
    if p < 0.001:
        return "p < .001"
    return "p = 1" if p > 0.9995 else f"p = {p:.3f}".replace("0.", ".", 1)


def size(count: int) -> str:
    """Write a number of bytes in decimal units: ``12.3 MB``."""
    value = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


def count(number: int) -> str:
    """Write a large number of operations: ``12.3 G``."""
    value = float(number)
    for unit in ("", " k", " M", " G"):
        if value < 999.5:
            return f"{value:.3g}{unit}"
        value /= 1000
    return f"{value:.3g} T"


def method(name: str) -> str:
    """Write a method's name as prose: ``equal_parameters`` is "equal parameters"."""
    stem, colon, backbone = name.partition(":")
    return f"{STEMS.get(stem, stem.replace('_', ' '))}{colon}{' ' if colon else ''}{backbone}"


def moment(when: datetime) -> str:
    """Write a date and a time of day: ``21 November 2026, 05:00 UTC``."""
    return f"{when:%d %B %Y, %H:%M %Z}".strip()


def listed(names: Sequence[str]) -> str:
    """Write names as prose: ``a, b and c``."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def unbroken(text: str) -> str:
    """Keep numbers with their units, intervals and equations in one piece where lines wrap."""
    return TOGETHER.sub(NO_BREAK, text)


def basis(evaluation: Evaluation) -> str:
    """Say what every figure of the test split rests on: clips, groups, seeds, device, store."""
    of = evaluation.dataset
    views = f", {evaluation.views} views each," if evaluation.views > 1 else ""
    clips = f"n = {evaluation.coverage.evaluated} clips{views} in {of.groups} groups"
    return f"{clips}; {origin(evaluation)}"


def origin(evaluation: Evaluation) -> str:
    """Say where a figure comes from: seeds, device and store; the command stands under each."""
    return (
        f"{seeds(evaluation.seeds)}; {evaluation.device}; features "
        f"{evaluation.dataset.fingerprint[:12]}"
    )


def seeds(given: Sequence[int]) -> str:
    """Write seeds as prose: ``seed 0``, ``seeds 0, 1, 2``."""
    return f"seed{'s' if len(given) > 1 else ''} {', '.join(map(str, given))}"

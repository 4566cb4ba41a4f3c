"""What a checkpoint of PolySpace's own says that it scored on the hold-out."""

from pathlib import Path
from statistics import fmean
from typing import Any

from polyspace.engine import checkpoint


def scores(path: Path) -> dict[str, float]:
    """Give the scores of exactly these weights; none of a file that somebody else wrote.

    Of converters, ``r2`` is the mean over the teachers.

    Raises:
        CheckpointError: The file can't be read safely.
    """
    content = checkpoint.read(path)
    if not isinstance(content, dict) or "kind" not in content:
        return {}
    told: dict[str, Any] = content.get("scores", {})
    if content["kind"] == "converters":
        return {"r2": fmean(told.values())} | {f"r2/{name}": r2 for name, r2 in told.items()}
    return {
        name: float(value)
        for name, value in told.items()
        if name != "epoch" and isinstance(value, int | float)
    }

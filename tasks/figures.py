"""Nested JSON as MLflow wants it: flat names for params, and the numbers among them for metrics."""

import json
from pathlib import Path

from pydantic import JsonValue


def of_record(path: Path) -> dict[str, float]:
    """Give the numbers of a JSON file by their place in it; lists of numbers are left out."""
    values = flatten(json.loads(path.read_text()), "/")
    return {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def flatten(value: JsonValue, joint: str, name: str = "") -> dict[str, JsonValue]:
    """Give the leaves under joined names; entries of a list go by their "name", if they have one.

    Args:
        value: Nested JSON.
        joint: What joins the names of the levels.
        name: Of the value itself; empty at the top.
    """
    match value:
        case dict():
            entries = list(value.items())
        case [{"name": str()}, *_]:
            entries = [(str(entry["name"]), entry) for entry in value if isinstance(entry, dict)]
        case _:
            return {name: value}
    flat: dict[str, JsonValue] = {}
    for key, entry in entries:
        flat |= flatten(entry, joint, f"{name}{joint}{key}" if name else key)
    return flat

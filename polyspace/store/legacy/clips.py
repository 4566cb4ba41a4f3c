"""A clip of a shard: what is said about it, and what every backbone saw of it.

A pickled clip is a dict ``{path, label, student, <teacher>, …}`` in which each array is what the
backbone of that name saw. In place of a path it may have an ``id`` of its own, and a ``group``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jaxtyping import Shaped
from numpy import ndarray

from polyspace.errors import StoreError
from polyspace.store.layout import PARTS, Part

REMEDY = "mend it with the program that wrote it, or extract again with polyspace.data.featurize"


@dataclass(frozen=True, eq=False)
class LegacyClip:
    """One clip of a shard."""

    id: str | None
    path: str | None
    """Where the video was; a clip has an id, a path, or both."""
    group: str | None
    label: int
    """-1: unknown."""
    arrays: Mapping[tuple[Part, str], Shaped[ndarray, "..."]]
    """By what they are and the backbone's name."""

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "LegacyClip":
        """Tell a clip's features from what is said about it.

        Raises:
            StoreError: It has no name or no label, or something that is not known.
        """
        arrays = dict(record)
        label = arrays.pop("label", None)
        said = {name: arrays.pop(name, None) for name in ("id", "path", "group")}
        if type(label) is not int:
            raise StoreError(f"has a clip whose label is {_show(label)}, not a number: {REMEDY}")
        if not (said["id"] or said["path"]):
            raise StoreError(f"has a clip without a path, only {', '.join(record)}: {REMEDY}")
        for name, value in said.items():
            if not isinstance(value, str | None):
                raise StoreError(f"has a clip whose {name} is {_show(value)}, not text: {REMEDY}")
        return cls(**said, label=label, arrays=dict(_named(arrays)))


def _named(arrays: Mapping[str, Any]) -> Iterator[tuple[tuple[Part, str], Shaped[ndarray, "..."]]]:
    """Give features by what they are: tokens, where the name doesn't say it."""
    for key, value in arrays.items():
        first, _, rest = key.partition("/")
        part: Part | None = next((part for part in PARTS if part == first and rest), None)
        known = ("float64",) if part == "time_seconds" else ("float16", "float32")
        if not isinstance(value, ndarray) or value.dtype.name not in known:
            raise StoreError(
                f"has a clip with {_show(value)} under {key!r}, expected an array of "
                f"{' or '.join(known)}: {REMEDY}"
            )
        yield (part, rest) if part else ("tokens", key), value


def _show(value: object) -> str:
    if isinstance(value, ndarray):
        return f"an array of {value.dtype}"
    return f"the {type(value).__name__} {value!r:.60}"

"""What a store of imported features says that it is, and how little that is.

The old format names each backbone and nothing more: no revision of its weights, no shape of its
token grid, no times. What is not known is said to be so.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version
from math import prod

import numpy as np

from polyspace.errors import ConfigError, StoreError
from polyspace.store.layout import AXES, ArraySpec, ClipRows, Part, StoreHeader, canonical
from polyspace.store.legacy.clips import REMEDY
from polyspace.store.legacy.survey import Key, Seen, Survey

CLIPS_PER_CHUNK = 256
CHUNK_BYTES = 2**28
"""Size of a chunk's tokens in memory at most, unless a single clip's are larger."""

UNKNOWN_TIMES = "unknown: equal parts of a clip of unit length"

PACKAGES = ("numpy", "polyspace", "torch")
"""Libraries that imported; their versions are recorded."""

Specs = Mapping[str, ArraySpec]
"""By what the shards call the backbone."""


def header(found: Survey, arrays: Specs) -> StoreHeader:
    """Say what the store is about; chunks are as even as they can be, and small enough."""
    index, clips = found.source.index, len(found.clips)
    clip_bytes = 4 * sum(prod(spec.row_shape("tokens")) for spec in arrays.values())
    chunks = -(-clips // max(1, min(CLIPS_PER_CHUNK, CHUNK_BYTES // clip_bytes)))
    unknown = {"window": "unrecorded", "sampling": "unrecorded"}
    return StoreHeader(
        dataset=index.dataset,
        split=index.split,
        class_names=found.class_names,
        clips_per_chunk=-(-clips // chunks),
        protocol={**unknown, "unlabelled": list(found.unlabelled)},
    )


def rows(found: Survey) -> ClipRows:
    """Give the clips that have a label."""
    labels = np.array([clip.said.label for clip in found.clips], dtype=np.int64)
    return ClipRows(found.ids, found.groups, labels)


def specs(found: Survey, student: str | None) -> Specs:
    """Say what each backbone's arrays hold, the student's first.

    Raises:
        StoreError: Not all clips have been seen by all backbones.
        ConfigError: Two backbones have the same name, or none is the student.
    """
    _refuse_gaps(found)
    names = _names(found, student)
    if len(set(names.values())) < len(names):
        raise ConfigError(f"backbones {', '.join(names.values())}: give another --student")
    return {
        key: _spec(found, key, name, "teacher" if place else "student")
        for place, (key, name) in enumerate(names.items())
    }


def row_shape(part: Part, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Give a clip's shape the axes that it leaves out; of tokens, the last but one is time."""
    if part == "tokens" and len(shape) == 2:
        time, dim = shape
        return (1, time, 1, dim)
    return (1,) * (len(AXES[part]) - 1 - len(shape)) + shape


def _refuse_gaps(found: Survey) -> None:
    """Refuse clips that some backbones haven't seen: the extraction was stopped before."""
    expected = found.clips[0].forms.keys()
    for clip, clip_id in zip(found.clips, found.ids, strict=True):
        if clip.forms.keys() != expected:
            raise StoreError(
                f"{found.source.shards[clip.shard]} has {_list(clip)} of clip {clip_id}, but "
                f"{_list(found.clips[0])} of {found.ids[0]}: {REMEDY}"
            )
    seen = {key for part, key in expected if part == "tokens"}
    if not seen or seen != {key for _, key in expected}:
        raise StoreError(
            f"{found.source.where} has {_list(found.clips[0])}, expected tokens of each backbone: "
            f"{REMEDY}"
        )


def _names(found: Survey, student: str | None) -> dict[str, str]:
    """Give the name of each backbone in the store, the student's first.

    Raises:
        ConfigError: None is the student.
    """
    keys = [key for part, key in found.clips[0].forms if part == "tokens"]
    called = "student" if "student" in keys else student
    if called not in keys:
        raise ConfigError(
            f"{found.source.where} has features of {', '.join(keys)}: say with --student whose are "
            f"the student's"
        )
    names = {called: student or found.source.index.student or called}
    names |= {key: key for key in keys if key != called}
    return {key: re.sub(r"[^\w-]", "_", name) for key, name in names.items()}


def _spec(found: Survey, key: str, name: str, role: str) -> ArraySpec:
    """Say what one backbone's arrays hold.

    Raises:
        StoreError: Its features are no tokens.
    """
    forms = [clip.forms["tokens", key] for clip in found.clips]
    [(shape, _)] = Counter(form.shape for form in forms).most_common(1)
    axes = row_shape("tokens", shape)
    if len(axes) != 4 or not shape:
        raise StoreError(f"{found.source.where} has {key} of shape {shape} a clip: {REMEDY}")
    views, time, space, dim = axes
    return ArraySpec(
        backbone=name,
        time=time,
        space=space,
        dim=dim,
        views=views,
        dtype="float32" if "float32" in _types(found, key) else "float16",
        provenance={"role": role, **_provenance(found, key, name), "imported_shape": list(shape)},
    )


def _types(found: Survey, key: str) -> set[str]:
    kept: tuple[Key, ...] = (("tokens", key), ("summary", key))
    return {clip.forms[each].dtype for clip in found.clips for each in kept if each in clip.forms}


def _provenance(found: Survey, key: str, name: str) -> dict[str, object]:
    given = found.clips[0].forms.keys()
    weights = {
        "source": f"imported from {found.source.where.name}",
        # Of the weights only the name is known, and the splits of a data set must agree on it.
        "fingerprint": hashlib.sha256(canonical({"imported": name}).encode()).hexdigest(),
        "random": False,
    }
    return {
        "weights": weights,
        "shards_fingerprint": found.fingerprint,
        "summary": "imported" if ("summary", key) in given else "mean over tokens",
        "times": "imported" if ("time_seconds", key) in given else UNKNOWN_TIMES,
        "versions": {package: version(package) for package in PACKAGES},
    }


def _list(clip: Seen) -> str:
    return ", ".join(f"{part} of {key}" for part, key in sorted(clip.forms)) or "nothing"

"""Golden features: what a backbone saw in known clips, where it was known to see right.

Weights that load are not yet features that are right: a library, a driver or a preprocessing that
changed shows here, before it goes into a store. What is kept of a clip is a glimpse of a few
numbers. They are found by the weights and the settings that they belong to.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from importlib.metadata import version
from importlib.resources import files
from math import isfinite
from pathlib import Path

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError

from polyspace.config import Config
from polyspace.errors import ConfigError, WeightsError
from polyspace.files import write_atomically
from polyspace.models.backbones.protocol import Backbone, Features

FILE = "golden.json"
"""Beside this module: those of the weights that packages ship."""

TOLERANCE = 0.005
"""How far features may be off, in their own standard deviations. Measured on the packaged weights:
other thread counts 4e-7, convolutions whose factors are rounded to TF32 (a GPU's default) 2.5e-3;
a short side that is one pixel longer 0.08, bfloat16 0.008 to 0.07."""

VALUES = 16
"""Of a summary that are kept."""

LIBRARIES = ("numpy", "torch", "transformers")


class Glimpse(Config):
    """What is kept of one clip's features."""

    mean: float
    """Of all tokens."""
    std: float
    """Of all tokens."""
    summary: tuple[float, ...]
    """Values of the summary, evenly spread over it."""


class Golden(Config):
    """What one backbone saw."""

    backbone: str
    weights: str
    """Fingerprint of the weights."""
    settings: str
    """Fingerprint of input and token grid."""
    recorded_with: dict[str, str]
    """Device, and versions of libraries: a record, no condition."""
    clips: tuple[Glimpse, ...]

    @property
    def key(self) -> tuple[str, str, str]:
        """What it belongs to."""
        return self.backbone, self.weights, self.settings


_FILE = TypeAdapter(tuple[Golden, ...])


def describe(backbone: Backbone, seen: Iterable[Features], *, device: str) -> Golden:
    """Keep a glimpse of what a backbone saw.

    Args:
        backbone: Who looked.
        seen: What, clip by clip.
        device: Where, in words.

    Raises:
        WeightsError: Features that are not finite, or all the same.
    """
    settings = json.dumps([asdict(backbone.inputs), asdict(backbone.grid)], sort_keys=True)
    return Golden(
        backbone=backbone.name,
        weights=backbone.weights.fingerprint,
        settings=hashlib.sha256(settings.encode()).hexdigest(),
        recorded_with={"device": device} | {name: version(name) for name in LIBRARIES},
        clips=tuple(_glimpse(backbone.name, features) for features in seen),
    )


def known() -> tuple[Golden, ...]:
    """Give the golden features of the weights that packages ship."""
    return _FILE.validate_json(files("polyspace.models.backbones").joinpath(FILE).read_bytes())


def read(file: Path) -> tuple[Golden, ...]:
    """Read golden features that somebody recorded.

    Raises:
        ConfigError: There is no such file, or something else is in it.
    """
    try:
        return _FILE.validate_json(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"{file} can't be read ({error.strerror}): record one first") from error
    except ValidationError as error:
        raise ConfigError(
            f"{file} holds no golden features ({error.error_count()} misfits): record it again"
        ) from error


def record(file: Path, entries: Iterable[Golden]) -> None:
    """Write golden features into a file; others that it holds already stay.

    Raises:
        ConfigError: The file is there and holds something else.
    """
    old = read(file) if file.exists() else ()
    kept = {entry.key: entry for entry in (*old, *entries)}
    content = _FILE.dump_json(tuple(kept[key] for key in sorted(kept)), indent=2)
    write_atomically(file, lambda opened: opened.write(content + b"\n"))


def distance(found: Golden, expected: Golden) -> float:
    """Give how far features are off at worst, in standard deviations of the expected ones."""
    pairs = zip(found.clips, expected.clips, strict=True)
    return max(
        float(np.max(np.abs(np.subtract(_numbers(mine), _numbers(theirs))))) / theirs.std
        for mine, theirs in pairs
    )


def _glimpse(name: str, seen: Features) -> Glimpse:
    tokens, summary = seen.tokens.double(), seen.summary.flatten()
    mean, std = float(tokens.mean()), float(tokens.std())
    # Both hold infinities and NaN of any token.
    if not (isfinite(std) and std > 0 and bool(summary.isfinite().all())):
        raise WeightsError(
            f"{name} gives features of mean {mean:g} and deviation {std:g} where others see a "
            f"moving picture: its weights are damaged, or the device computes wrong"
        )
    places = torch.linspace(0, len(summary) - 1, min(VALUES, len(summary))).long()
    return Glimpse(mean=mean, std=std, summary=tuple(summary[places].tolist()))


def _numbers(glimpse: Glimpse) -> list[float]:
    return [glimpse.mean, glimpse.std, *glimpse.summary]

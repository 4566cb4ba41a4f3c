"""What became of each variation, one small file each: the table is made of them alone.

An entry names the settings, seeds and features that it was measured with, so that one of another
ablation in the same folder is a gap, and no figure.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from polyspace import files
from polyspace.config import Config
from polyspace.train.ablation import AblationConfig, Variation
from polyspace.train.ablation_results import Entry

FOLDER = "variations"
OWN_STUDENT = ("base", "heads")
"""Groups whose students alone have rows: another head is another student."""


class Kept(Config):
    """An entry as it lies on disk."""

    identity: str
    """sha256 of everything that it was asked to measure."""
    run_id: str | None
    """The MLflow run that recorded it; None if it was not tracked."""
    entry: Entry


def path_of(config: AblationConfig, variation: Variation) -> Path:
    """Say where a variation's entry lies."""
    slug = re.sub(r"[^a-z0-9_]+", "-", f"{variation.group}-{variation.name}".lower())
    return config.out / FOLDER / f"{slug}.json"


def blank(variation: Variation, gap: str) -> Entry:
    """Give the entry of something that could not be measured, or is not yet."""
    return Entry(
        name=variation.name,
        group=variation.group,
        changed=dict(variation.changed),
        lists_student=variation.group in OWN_STUDENT,
        gap=gap,
    )


def write(config: AblationConfig, variation: Variation, kept: Kept) -> None:
    """Keep an entry."""
    text = kept.model_dump_json(indent=1).encode()
    files.write_atomically(path_of(config, variation), lambda file: file.write(text))


def read(config: AblationConfig, variation: Variation) -> Kept | None:
    """Give what is kept of a variation; None if there is nothing that can be read."""
    try:
        return Kept.model_validate_json(path_of(config, variation).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def settled(config: AblationConfig, variation: Variation, fingerprints: Sequence[str]) -> Entry:
    """Give a variation's entry, or say what is missing of it.

    Args:
        config: The ablation.
        variation: One of it.
        fingerprints: Of both splits' stores.
    """
    kept = read(config, variation)
    if variation.gap:
        return blank(variation, variation.gap)
    if kept is None:
        return blank(variation, "run the ablation again, it goes on")
    if kept.identity != identity(config, variation, fingerprints):
        return blank(
            variation, "it was measured with other settings or features: run the ablation again"
        )
    return kept.entry


def identity(config: AblationConfig, variation: Variation, fingerprints: Sequence[str]) -> str:
    """Give the sha256 of settings, seeds, splits and features of a variation."""
    said: dict[str, Any] = {
        "converter": variation.converter.model_dump(mode="json"),
        "fusion": variation.fusion.model_dump(mode="json"),
        "teachers": variation.teachers,
        "without": variation.without,
        "views": variation.views,
        "storage": variation.storage,
        "seeds": config.seeds,
        "student": config.student,
        "stores": [*fingerprints],
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

"""What lies beside weights and says what they were trained on: the settings and the model card."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import metadata_load

from polyspace.models.backbones.class_names import digest

FILE = "README.md"


def read(folder: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Give what is said, as JSON values; what nobody says has no key.

    Args:
        folder: Where a model card may lie; only the data at its head are read.
        settings: The content of config.json.

    Returns:
        ``name``: what the weights were loaded from when they were saved. ``classes``: count, first
        name and digest of the classifier's classes, if they have names. ``base_model`` and
        ``datasets``: as the card lists them. ``license``: as the card has it, or the name that it
        gives to another one. ``card``: whether there is one.
    """
    said = {"name": settings.get("_name_or_path"), "classes": _classes(settings)}
    data = _data(folder / FILE)
    said |= {name: _listed(data.get(name)) for name in ("base_model", "datasets")}
    said["license"] = _licence(data)
    found = {name: value for name, value in said.items() if value}
    return {**found, "card": True} if data else found


def _classes(settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """Describe a classifier's classes without repeating all their names."""
    named = settings.get("id2label")
    if not isinstance(named, Mapping) or not named:
        return None
    numbered = {int(number): str(name) for number, name in named.items()}
    names = [name for _, name in sorted(numbered.items())]
    if all(name.startswith("LABEL_") for name in names):
        return None
    return {"count": len(names), "first": names[0], "sha256": digest(names)}


def _data(file: Path) -> Mapping[str, Any]:
    """Read the data at the head of a model card; a card that can't be read says nothing."""
    try:
        found = metadata_load(file) if file.is_file() else None
    except Exception:  # YAML's errors, and whatever stands in place of data
        return {}
    return found or {}


def _licence(data: Mapping[str, Any]) -> str | None:
    given = data.get("license")
    found = data.get("license_name", given) if given == "other" else given
    return str(found) if found else None


def _listed(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [str(one) for one in values if one]

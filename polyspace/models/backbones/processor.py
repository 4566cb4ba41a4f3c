"""A checkpoint's own preprocessing: the settings that lie beside its weights win over our table."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from polyspace.errors import WeightsError
from polyspace.models.backbones.protocol import InputSpec

FILES = ("video_preprocessor_config.json", "preprocessor_config.json")
"""Looked for in this order: the newer name first."""

BILINEAR = 2
"""Pillow's number of the one filter that `polyspace.data.preprocess` has."""


def read(folder: Path, table: InputSpec) -> InputSpec:
    """Give the preprocessing that a weights folder asks for; what it leaves open is the table's.

    Args:
        folder: Where one of `FILES` may lie.
        table: What the architecture's own library uses, at the size that the network takes.

    Raises:
        WeightsError: The file is damaged, asks for something that PolySpace doesn't do, or makes
            pictures of another size than the network takes.
    """
    file = next((folder / name for name in FILES if (folder / name).is_file()), None)
    if file is None:
        return table
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        return replace(table, short_side=_short_side(said, table), **_pixels(said, table))
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise WeightsError(f"{file}: {error}. Mend it, or delete it to use our table") from error


def _short_side(said: Mapping[str, Any], table: InputSpec) -> int | None:
    """Read how the picture is resized and cropped; None is a plain squash."""
    if not said.get("do_resize", True) or said.get("resample", BILINEAR) != BILINEAR:
        raise ValueError("asks for another resize than bilinear")
    size = said.get("size", table.short_side)
    squashed = isinstance(size, Mapping) and "shortest_edge" not in size
    cropped = said.get("do_center_crop", True)
    if not squashed and not cropped:
        raise ValueError("makes pictures of no fixed size, for want of a centre crop")
    made = [size] if squashed else []
    made += [said["crop_size"]] if cropped and "crop_size" in said else []
    wanted = (table.height, table.width)
    if any(_sides(sides) != wanted for sides in made):
        raise ValueError(f"makes pictures of {made[-1]}, but the network takes {wanted}")
    if squashed:
        return None
    short_side = int(size["shortest_edge"] if isinstance(size, Mapping) else size)
    if short_side < max(wanted):
        raise ValueError(f"crops {wanted} out of a picture whose short side is {short_side}")
    return short_side


def _sides(size: int | Mapping[str, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size["height"], size["width"])


def _pixels(said: Mapping[str, Any], table: InputSpec) -> Mapping[str, Any]:
    """Read how pixel values are scaled and normalised, as fields of an `InputSpec`."""
    rescaled = said.get("do_rescale", True)
    scale = float(said.get("rescale_factor", table.scale)) if rescaled else 1.0
    offset = 1.0 if rescaled and said.get("offset", _is_vivit(said)) else 0.0
    mean, std = (0.0,) * table.channels, (1.0,) * table.channels
    if said.get("do_normalize", True):
        if "image_mean" not in said:
            return {"scale": scale}
        mean, std = _channels(said["image_mean"], table), _channels(said["image_std"], table)
    return {"scale": scale, "mean": tuple(value + offset for value in mean), "std": std}


def _is_vivit(said: Mapping[str, Any]) -> bool:
    """Say whether ViViT's processor wrote this: it subtracts 1 even where the file is silent."""
    kinds = (said.get("video_processor_type"), said.get("image_processor_type"))
    return any(str(kind).startswith("Vivit") for kind in kinds)


def _channels(values: float | list[float], table: InputSpec) -> tuple[float, ...]:
    listed = values if isinstance(values, list) else [values] * table.channels
    return tuple(float(value) for value in listed)

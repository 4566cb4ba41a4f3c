"""Backbones by name: each name is the file beside this one that knows how to load it."""

from collections.abc import Mapping
from importlib import import_module
from types import ModuleType

import torch

from polyspace.errors import UnknownNameError
from polyspace.models.backbones.classifier import Classifier
from polyspace.models.backbones.protocol import Backbone

NAMES: tuple[str, ...] = (
    "vjepa2",
    "videomae",
    "timesformer",
    "vivit",
    "transnetv2",
    "efficientnet_lite0",
    "motion_vectors",
)


def load(
    name: str, *, weights: Mapping[str, str], frames: int | None, device: torch.device
) -> Backbone:
    """Load a backbone, frozen and in evaluation mode.

    Args:
        name: One of `NAMES`.
        weights: Folder, or "random-tiny", by backbone: ``--weights NAME=FOLDER``.
        frames: Temporal samples a clip; None is the backbone's own default. An architecture whose
            count is fixed takes its own: `Backbone.inputs` says what it wants.
        device: Where it will run.

    Raises:
        UnknownNameError: `name`, or a name in `weights`, is no backbone.
        WeightsError: The weights were not found, or are not this backbone's.
        ConfigError: `frames` doesn't suit the architecture.
    """
    return _module(name, weights).load(weights, frames=frames, device=device)


def load_classifier(
    name: str, *, weights: Mapping[str, str], device: torch.device
) -> Classifier | str:
    """Load the classifier that a backbone's checkpoint holds; give it, or why there is none.

    Args:
        name: One of `NAMES`.
        weights: As for `load`; the same places are looked in.
        device: Where it will run.

    Raises:
        UnknownNameError: `name`, or a name in `weights`, is no backbone.
        WeightsError: The weights were not found, or a part of the classifier is missing.
    """
    return _module(name, weights).load_classifier(weights, device=device)


def _module(name: str, weights: Mapping[str, str]) -> ModuleType:
    """Import the backbone's file: transformers alone takes seconds, and most runs don't need it."""
    for asked in (name, *weights):
        if asked not in NAMES:
            raise UnknownNameError("backbone", asked, NAMES)
    return import_module(f"polyspace.models.backbones.{name}")

"""Backbones loaded as they were when the features were made, or the reason why not."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from polyspace.data.encode import Setup
from polyspace.errors import StoreError
from polyspace.models.backbones import registry
from polyspace.models.backbones.protocol import Backbone
from polyspace.models.backbones.weights import RANDOM_TINY, only_here
from polyspace.precision import resolve

FOLDER = "folder "
"""What the record of weights out of a folder begins with."""


@dataclass(frozen=True)
class Source:
    """All that it takes to load a backbone again, as plain values."""

    name: str
    weights: Mapping[str, str]
    """As `registry.load` takes them."""
    frames: int
    """What it says that it is fed."""
    compute: str
    spatial: str
    inputs: Mapping[str, Any]
    fingerprint: str
    """Of the weights that the features were made with."""
    origin: str
    """Of these weights, in words."""


@dataclass(frozen=True, eq=False)
class Encoder:
    """A backbone, and how it looks at clips."""

    backbone: Backbone
    setup: Setup


def source(name: str, record: Mapping[str, Any], given: Mapping[str, str]) -> Source:
    """Say how a backbone's features were made.

    Args:
        name: The backbone.
        record: What the store says of where its features come from (`array_spec`).
        given: Folders of weights by backbone, which go before the ones that the store names.

    Raises:
        StoreError: The record doesn't say it.
    """
    try:
        weights = record["weights"]
        return Source(
            name=name,
            weights=_where(name, weights["source"], given),
            frames=record["inputs"]["frames"],
            compute=record["compute"],
            spatial=record["spatial"],
            inputs=record["inputs"],
            fingerprint=weights["fingerprint"],
            origin=weights["source"],
        )
    except KeyError as error:
        raise StoreError(
            f"the features of {name} don't say their {error.args[0]}: extract them with "
            f"polyspace.data.featurize"
        ) from error


def load(asked: Source, base: Setup) -> Encoder:
    """Load a backbone from this machine alone, and check that it is the same.

    Args:
        asked: What to load.
        base: Device, batch and views.

    Raises:
        WeightsError: Its weights are not here.
        StoreError: They are others, or it would be fed otherwise.
        PrecisionError: The device can't compute as was computed then.
    """
    # A record holds what the checks of `Setup` let through when it was written.
    precision = resolve(asked.compute, base.device)  # pyright: ignore[reportArgumentType]
    setup = replace(base, precision=precision, spatial=asked.spatial)
    # Networks draw weights before theirs are read; whoever draws next shall not notice.
    with only_here(), torch.random.fork_rng(devices=[]):
        backbone = _load(asked, base.device)
    _refuse_other(backbone, asked)
    return Encoder(backbone, setup)


def parameters(backbone: Backbone) -> int:
    """Count a backbone's weights; 0 where it has none."""
    own = [part for part in vars(backbone).values() if isinstance(part, torch.nn.Module)]
    return sum(weight.numel() for part in own for weight in part.parameters())


def _load(asked: Source, device: torch.device) -> Backbone:
    """Load a backbone that is fed so many frames."""

    def fed(frames: int) -> Backbone:
        return registry.load(asked.name, weights=asked.weights, frames=frames, device=device)

    first = fed(asked.frames)
    taken = first.inputs.frames
    # Some take but a part of the frames that they are offered: then offer as much more.
    return first if taken == asked.frames else fed(asked.frames * asked.frames // taken)


def _refuse_other(backbone: Backbone, asked: Source) -> None:
    name = asked.name
    if backbone.weights.fingerprint != asked.fingerprint:
        raise StoreError(
            f"{name} from {backbone.weights.source} is not what the features were made with "
            f"({asked.origin}): give --weights {name}=FOLDER of those"
        )
    here, then = asdict(backbone.inputs), dict(asked.inputs)
    differing = [key for key in here if _plain(here[key]) != _plain(then.get(key))]
    if differing:
        raise StoreError(
            f"{name} is fed otherwise than when the features were made ({', '.join(differing)}): "
            f"extract them again"
        )


def _where(name: str, origin: str, given: Mapping[str, str]) -> dict[str, str]:
    """Say where to look for weights: as given, or where the store says that they were."""
    if name in given:
        return {name: given[name]}
    if origin == RANDOM_TINY:
        return {name: RANDOM_TINY}
    return {name: origin.removeprefix(FOLDER)} if origin.startswith(FOLDER) else {}


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value

"""From decoded clips to features: every view of some clips, seen by one backbone."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float32, Float64
from numpy import ndarray
from torch import Tensor
from torch.nn import functional

from polyspace.data.clips import WHOLE, DecodedClip
from polyspace.data.preprocess import Pictures, normalise, prepare, temporal_spans
from polyspace.data.views import Viewing
from polyspace.models.backbones.protocol import Backbone, TokenGrid
from polyspace.precision import Precision
from polyspace.store.block import Block
from polyspace.store.layout import ArraySpec, canonical

Spatial = Literal["1", "2", "full"]
"""Tokens along each side of the picture: pooled to 1 x 1 or 2 x 2, or all that there are."""

Role = Literal["student", "teacher"]
"""What a backbone was extracted for; converters translate from the student."""

PACKAGES = ("av", "numpy", "polyspace", "torch", "transformers")
"""Libraries that features depend on; their versions are recorded."""


@dataclass(frozen=True)
class Setup:
    """How clips are turned into features, and by what."""

    device: torch.device
    precision: Precision
    spatial: Spatial
    batch: int
    """Clips that a backbone sees at a time."""
    processes: int
    """Processes that decode."""
    viewing: Viewing = WHOLE
    """The views of every clip."""
    allow_damaged: bool = False
    """Whether what a decoder makes of damaged frames is taken."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a backbone is fed of some clips, and when each of its tokens looks at them."""

    looks: Pictures
    """One after the other: every view of the first clip, every view of the second, …"""
    seconds: Float64[ndarray, "clip view position 2"]


def array_spec(backbone: Backbone, *, role: Role, setup: Setup) -> ArraySpec:
    """Say what a backbone's arrays hold, and where it comes from."""
    settings: dict[str, Any] = {
        "inputs": asdict(backbone.inputs),
        "grid": asdict(backbone.grid),
        "spatial": setup.spatial,
        "compute": setup.precision.compute,
    }
    return ArraySpec(
        backbone=backbone.name,
        time=backbone.grid.time,
        space=backbone.grid.space if setup.spatial == "full" else int(setup.spatial) ** 2,
        dim=backbone.dim,
        views=setup.viewing.count,
        dtype=setup.precision.storage,
        provenance={
            "role": role,
            "weights": asdict(backbone.weights),
            **settings,
            "settings_fingerprint": hashlib.sha256(canonical(settings).encode()).hexdigest(),
            "versions": {name: version(name) for name in PACKAGES},
        },
    )


def feed(backbone: Backbone, clips: Sequence[DecodedClip]) -> Inputs:
    """Prepare every view of some clips for a backbone; needs no device."""
    spec, time = backbone.inputs, backbone.grid.time
    looks = [(clip, view) for clip in clips for view in range(len(clip.views))]
    spans = [temporal_spans(clip, spec, time, view) for clip, view in looks]
    return Inputs(
        torch.stack([prepare(clip, spec, view) for clip, view in looks]),
        np.stack(spans).reshape(len(clips), -1, time, 2),
    )


def encode(backbone: Backbone, inputs: Inputs, setup: Setup) -> Block:
    """Let a backbone see what was prepared for it; give its features, on the CPU."""
    with torch.no_grad(), setup.precision.autocast(setup.device):
        looks = normalise(inputs.looks.to(setup.device), backbone.inputs)
        features = backbone.forward(looks)
    tokens = pool(features.tokens, backbone.grid, setup.spatial)
    clips = len(inputs.seconds)
    return Block(
        tokens.cpu().unflatten(0, (clips, -1)),
        features.summary.cpu().unflatten(0, (clips, -1)),
        inputs.seconds,
    )


def pool(
    tokens: Float32[Tensor, "clip time space dim"], grid: TokenGrid, spatial: Spatial
) -> Float32[Tensor, "clip time kept dim"]:
    """Average the tokens of each temporal position over equal parts of the picture."""
    if spatial == "full":
        return tokens
    clips, time, _, dim = tokens.shape
    maps = tokens.reshape(clips * time, grid.height, grid.width, dim).permute(0, 3, 1, 2)
    pooled = functional.adaptive_avg_pool2d(maps, int(spatial))
    return pooled.flatten(2).transpose(1, 2).reshape(clips, time, -1, dim)

"""The codec's own motion field as a backbone: nothing to load, nothing to compute, hard to beat.

An encoder of video has already searched for where each block of the picture came from; the
decoder hands that out for free.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
from jaxtyping import Float32
from torch import Tensor

from polyspace.errors import ConfigError
from polyspace.models.backbones.features import as_features
from polyspace.models.backbones.protocol import Backbone, Features, InputSpec, TokenGrid, Weights


@dataclass
class MotionVectors:
    """The motion field, pooled to a small grid: dx, dy, energy and coverage of each cell."""

    inputs: InputSpec
    grid: TokenGrid
    weights: Weights
    name: str = "motion_vectors"
    dim: int = 4

    def forward(self, inputs: Float32[Tensor, "clip time channel height width"]) -> Features:
        """Turn cells into tokens."""
        with torch.no_grad():
            return as_features(inputs.flatten(3).transpose(2, 3))


def load(weights: Mapping[str, str], *, frames: int | None, device: torch.device) -> Backbone:
    """Set up the field: `frames` steps in time, 16 by default, of 4 x 4 cells.

    Raises:
        ConfigError: Weights were given for a backbone that has none.
    """
    if "motion_vectors" in weights:
        raise ConfigError("motion_vectors has no weights: leave out --weights motion_vectors=…")
    inputs = InputSpec(
        kind="motion",
        frames=16 if frames is None else frames,
        height=4,
        width=4,
        mean=(0.0,) * 4,
        std=(1.0,) * 4,
        scale=1.0,
    )
    settings = repr(sorted(asdict(inputs).items()))
    return MotionVectors(
        inputs=inputs,
        grid=TokenGrid(inputs.frames, inputs.height, inputs.width),
        weights=Weights(
            source="none: the codec's own motion field",
            fingerprint=hashlib.sha256(settings.encode()).hexdigest(),
            random=False,
        ),
    )


def load_classifier(weights: Mapping[str, str], *, device: torch.device) -> str:
    """Say why there is no classifier."""
    return "it has no weights, and so no classifier"

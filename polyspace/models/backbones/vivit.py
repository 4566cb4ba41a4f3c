"""ViViT: a transformer over tubes of a clip, with a class token.

Source: Arnab et al. (2021), arXiv:2103.15691; transformers' ``VivitModel``.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float32
from torch import Tensor
from transformers import VivitConfig, VivitForVideoClassification, VivitModel

from polyspace.models.backbones import huggingface, huggingface_classifier
from polyspace.models.backbones.classifier import Classifier
from polyspace.models.backbones.features import as_features
from polyspace.models.backbones.protocol import Backbone, Features, TokenGrid
from polyspace.models.backbones.weights import Hub


def geometry(config: VivitConfig, frames: int | None) -> huggingface.Geometry:
    """Read the input's geometry; the count of frames is built into the position embedding."""
    time, height, width = config.tubelet_size
    size = huggingface.pair(config.image_size)
    return huggingface.Geometry(config.num_frames, size, (time, height, width))


def encode(
    network: VivitModel,
    inputs: Float32[Tensor, "clip frame channel height width"],
    grid: TokenGrid,
) -> Features:
    """Run the encoder; the class token leads its sequence."""
    hidden = network(pixel_values=inputs).last_hidden_state
    tokens = hidden[:, 1:].unflatten(1, (grid.time, grid.space))
    return as_features(tokens, summary=hidden[:, 0])


FAMILY = huggingface.Family(
    name="vivit",
    model=VivitModel,
    config=VivitConfig,
    origin=Hub("google/vivit-b-16x2-kinetics400"),
    spare=("pooler.", "classifier."),
    geometry=geometry,
    encode=encode,
    head=huggingface.Head(VivitForVideoClassification, ("classifier",), "class token"),
    short_side=256,
    # From 0..255 to -1..1 and no more, as the checkpoint was converted.
    mean=(1.0, 1.0, 1.0),
    std=(1.0, 1.0, 1.0),
    scale=1 / 127.5,
    tiny={
        "image_size": 64,
        "num_frames": 8,
        "tubelet_size": [2, 16, 16],
        "hidden_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 96,
        "hidden_dropout_prob": 0.1,
    },
    # The pooler is random in every checkpoint that was fine-tuned.
    options={"add_pooling_layer": False},
)


def load(weights: Mapping[str, str], *, frames: int | None, device: torch.device) -> Backbone:
    """Load the encoder; it takes its own count of frames, whatever `frames` says."""
    return huggingface.load(FAMILY, weights, frames=frames, device=device)


def load_classifier(weights: Mapping[str, str], *, device: torch.device) -> Classifier | str:
    """Load the classifier that the encoder was fine-tuned with, or say why there is none."""
    return huggingface_classifier.load(FAMILY, weights, device=device)

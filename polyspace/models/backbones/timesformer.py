"""TimeSformer: a video encoder whose attention runs over time and over the picture in turn.

Source: Bertasius et al. (2021), arXiv:2102.05095; transformers' ``TimesformerModel``.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float32
from torch import Tensor
from transformers import TimesformerConfig, TimesformerForVideoClassification, TimesformerModel

from polyspace.models.backbones import huggingface, huggingface_classifier
from polyspace.models.backbones.classifier import Classifier
from polyspace.models.backbones.features import as_features
from polyspace.models.backbones.protocol import Backbone, Features, TokenGrid
from polyspace.models.backbones.weights import Hub


def geometry(config: TimesformerConfig, frames: int | None) -> huggingface.Geometry:
    """Read the input's geometry; every frame is a position in time of its own."""
    # Another count of frames would run, on time embeddings stretched by nearest neighbour.
    tubelet = (1, *huggingface.pair(config.patch_size))
    return huggingface.Geometry(config.num_frames, huggingface.pair(config.image_size), tubelet)


def encode(
    network: TimesformerModel,
    inputs: Float32[Tensor, "clip frame channel height width"],
    grid: TokenGrid,
) -> Features:
    """Run the encoder and bring its tokens into the canonical order.

    Behind the class token they run over rows, columns and then time; ours run over time first.
    """
    hidden = network(pixel_values=inputs).last_hidden_state
    tokens = hidden[:, 1:].unflatten(1, (grid.space, grid.time)).transpose(1, 2)
    return as_features(tokens, summary=hidden[:, 0])


FAMILY = huggingface.Family(
    name="timesformer",
    model=TimesformerModel,
    config=TimesformerConfig,
    origin=Hub("facebook/timesformer-base-finetuned-k400"),
    spare=("classifier.",),
    geometry=geometry,
    encode=encode,
    head=huggingface.Head(TimesformerForVideoClassification, ("classifier",), "class token"),
    # The checkpoints' own; the library's default for this class is ImageNet's, and wrong for them.
    mean=(0.45, 0.45, 0.45),
    std=(0.225, 0.225, 0.225),
    tiny={
        "image_size": 64,
        "num_frames": 8,
        "patch_size": 16,
        "hidden_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 96,
        "hidden_dropout_prob": 0.1,
    },
)


def load(weights: Mapping[str, str], *, frames: int | None, device: torch.device) -> Backbone:
    """Load the encoder; it takes its own count of frames, whatever `frames` says."""
    return huggingface.load(FAMILY, weights, frames=frames, device=device)


def load_classifier(weights: Mapping[str, str], *, device: torch.device) -> Classifier | str:
    """Load the classifier that the encoder was fine-tuned with, or say why there is none."""
    return huggingface_classifier.load(FAMILY, weights, device=device)

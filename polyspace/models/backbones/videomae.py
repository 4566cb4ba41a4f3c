"""VideoMAE: a video encoder trained to paint in masked tubes of a clip.

Source: Tong et al. (2022), arXiv:2203.12602; transformers' ``VideoMAEModel``.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float32
from torch import Tensor
from transformers import VideoMAEConfig, VideoMAEForVideoClassification, VideoMAEModel

from polyspace.models.backbones import huggingface, huggingface_classifier
from polyspace.models.backbones.classifier import Classifier
from polyspace.models.backbones.features import as_features
from polyspace.models.backbones.protocol import Backbone, Features, TokenGrid
from polyspace.models.backbones.weights import Hub


def geometry(config: VideoMAEConfig, frames: int | None) -> huggingface.Geometry:
    """Read the input's geometry; the count of frames is built into the position embedding."""
    tubelet = (config.tubelet_size, *huggingface.pair(config.patch_size))
    return huggingface.Geometry(config.num_frames, huggingface.pair(config.image_size), tubelet)


def encode(
    network: VideoMAEModel,
    inputs: Float32[Tensor, "clip frame channel height width"],
    grid: TokenGrid,
) -> Features:
    """Run the encoder with nothing masked."""
    hidden = network(pixel_values=inputs).last_hidden_state
    return as_features(hidden.unflatten(1, (grid.time, grid.space)))


FAMILY = huggingface.Family(
    name="videomae",
    model=VideoMAEModel,
    config=VideoMAEConfig,
    origin=Hub("MCG-NJU/videomae-base-finetuned-kinetics"),
    # Fine-tuned: fc_norm and classifier. Pretrained: the decoder that paints.
    spare=("fc_norm.", "classifier.", "decoder.", "encoder_to_decoder.", "mask_token"),
    geometry=geometry,
    encode=encode,
    head=huggingface.Head(VideoMAEForVideoClassification, ("fc_norm", "classifier"), "mean"),
    tiny={
        "image_size": 64,
        "num_frames": 8,
        "tubelet_size": 2,
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

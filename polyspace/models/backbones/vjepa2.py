"""V-JEPA 2: a video encoder trained to predict in its own feature space.

Source: Assran et al. (2025), arXiv:2506.09985; transformers' ``VJEPA2Model``.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float32
from torch import Tensor
from transformers import VJEPA2Config, VJEPA2ForVideoClassification, VJEPA2Model

from polyspace.errors import ConfigError
from polyspace.models.backbones import huggingface, huggingface_classifier
from polyspace.models.backbones.classifier import Classifier
from polyspace.models.backbones.features import as_features
from polyspace.models.backbones.protocol import Backbone, Features, TokenGrid
from polyspace.models.backbones.weights import Hub


def geometry(config: VJEPA2Config, frames: int | None) -> huggingface.Geometry:
    """Read the input's geometry; positions are rotary, so any count of whole tubelets will do.

    Raises:
        ConfigError: The frames don't fill whole tubelets.
    """
    tubelet = config.tubelet_size
    count = config.frames_per_clip if frames is None else frames
    if count % tubelet:
        raise ConfigError(
            f"vjepa2 can't take {count} frames: it looks at {tubelet} at a time, "
            f"so give a multiple of {tubelet}"
        )
    patch = huggingface.pair(config.patch_size)
    return huggingface.Geometry(count, huggingface.pair(config.crop_size), (tubelet, *patch))


def encode(
    network: VJEPA2Model,
    inputs: Float32[Tensor, "clip frame channel height width"],
    grid: TokenGrid,
) -> Features:
    """Run the encoder alone: the predictor behind it only serves training."""
    hidden = network(pixel_values_videos=inputs, skip_predictor=True).last_hidden_state
    return as_features(hidden.unflatten(1, (grid.time, grid.space)))


FAMILY = huggingface.Family(
    name="vjepa2",
    model=VJEPA2Model,
    config=VJEPA2Config,
    origin=Hub("facebook/vjepa2-vitl-fpc64-256"),
    spare=("predictor.", "pooler.", "classifier."),
    geometry=geometry,
    encode=encode,
    head=huggingface.Head(VJEPA2ForVideoClassification, ("pooler", "classifier"), "tokens"),
    short_side=256,
    tiny={
        "crop_size": 64,
        "frames_per_clip": 8,
        "tubelet_size": 2,
        "patch_size": 16,
        "hidden_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "mlp_ratio": 2,
        "drop_path_rate": 0.1,
        "pred_hidden_size": 48,
        "pred_num_hidden_layers": 1,
        "pred_num_attention_heads": 4,
        "pred_num_mask_tokens": 2,
    },
)


def load(weights: Mapping[str, str], *, frames: int | None, device: torch.device) -> Backbone:
    """Load the encoder; `frames` defaults to what it was trained with."""
    return huggingface.load(FAMILY, weights, frames=frames, device=device)


def load_classifier(weights: Mapping[str, str], *, device: torch.device) -> Classifier | str:
    """Load the classifier that the encoder was fine-tuned with, or say why there is none."""
    return huggingface_classifier.load(FAMILY, weights, device=device)

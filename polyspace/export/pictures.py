"""The way from pictures on: the student's network in front of the distilled model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64
from numpy import ndarray
from torch import Tensor, nn

from polyspace.data import reload
from polyspace.data.clips import DecodedClip
from polyspace.data.encode import Setup, pool
from polyspace.data.prefetch import decode_all
from polyspace.data.preprocess import Pictures, normalise, prepare
from polyspace.data.reload import Encoder
from polyspace.errors import ExportError, VideoError
from polyspace.models.backbones.protocol import InputSpec
from polyspace.precision import resolve
from polyspace.train import videos
from polyspace.train.sources import StoredClips

DISTILLED = "distilled"
"""Name, within a `Looking`, of what follows the backbone."""

PROCESSES = 2
"""That decode at a time."""


class Looking(nn.Module):
    """Pictures as `feed` gives them in, logits out: normalise, encode, pool, answer."""

    def __init__(self, encoder: Encoder, distilled: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.backbone = nn.ModuleDict(networks(encoder))
        self.distilled = distilled

    def forward(self, pictures: Pictures) -> Float32[Tensor, "look label"]:
        """Answer for a batch of looks."""
        backbone = self.encoder.backbone
        tokens = backbone.forward(normalise(pictures, backbone.inputs)).tokens
        return self.distilled(pool(tokens, backbone.grid, self.encoder.setup.spatial))


def networks(encoder: Encoder) -> dict[str, nn.Module]:
    """Give a backbone's networks, by what it calls them."""
    return {
        name: part for name, part in vars(encoder.backbone).items() if isinstance(part, nn.Module)
    }


def load(student: str, clips: StoredClips, weights: Mapping[str, str]) -> Encoder:
    """Load the student's backbone as it was when a store was written, in float32 on the CPU.

    Args:
        student: Its name.
        clips: The store.
        weights: Folders of weights by backbone, which go before those that the store names.

    Raises:
        ExportError: It has no network.
        WeightsError: Its weights are not here.
        StoreError: They are others than those that the features were made with.
    """
    clips.shape(student)  # raises, with the remedy, where the store doesn't hold it
    cpu = torch.device("cpu")
    found = reload.source(student, clips.store.backbones[student].provenance, weights)
    base = Setup(cpu, resolve("fp32", cpu), spatial="full", batch=1, processes=PROCESSES)
    encoder = reload.load(found, base)
    if not networks(encoder):
        raise ExportError(
            f"--entry pictures: {student} has no network to export, it reads what the video's "
            f"codec says of motion: export --entry tokens"
        )
    return encoder


def spec_of(student: str, clips: StoredClips) -> InputSpec:
    """Say what a student is fed, as the store recorded it."""
    plain: dict[str, Any] = dict(clips.store.backbones[student].provenance["inputs"])
    plain |= {name: tuple(plain[name]) for name in ("mean", "std")}
    return InputSpec(**plain)


def of_rows(
    student: str, clips: StoredClips, rows: Int64[ndarray, " look"], root: Path | None
) -> Pictures:
    """Decode some looks at clips and prepare them as the student is fed, on the CPU.

    Args:
        student: The backbone.
        clips: The store of the clips.
        rows: Which looks.
        root: Folder of the videos.

    Raises:
        ExportError: No folder was given.
        VideoError: A video is not there, or can't be decoded.
    """
    if root is None:
        raise ExportError(
            "--entry pictures needs the videos to show them to the model: name their folder with "
            "--root"
        )
    spec, found = spec_of(student, clips), videos.find(clips, root)
    which, views = np.divmod(rows, clips.views)
    wanted, places = np.unique(which, return_inverse=True)
    requests = [found.request(clips.store.ids[clip], [spec]) for clip in wanted]
    decoded = [
        _decoded(clip) for clip in decode_all(root, requests, processes=PROCESSES, ahead=PROCESSES)
    ]
    return torch.stack(
        [prepare(decoded[at], spec, int(view)) for at, view in zip(places, views, strict=True)]
    )


def random(spec: InputSpec, count: int) -> Pictures:
    """Draw looks at nothing, the same every time: enough to trace a network with."""
    shape = count, spec.frames, spec.channels, spec.height, spec.width
    draw = torch.Generator().manual_seed(0)
    if spec.kind == "motion":
        return torch.randn(shape, generator=draw)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=draw)


def _decoded(clip: DecodedClip | VideoError) -> DecodedClip:
    if isinstance(clip, VideoError):
        raise clip
    return clip

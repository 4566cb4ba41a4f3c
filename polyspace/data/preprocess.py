"""From a decoded clip to what a backbone wants to be fed, and when each of its tokens looked.

Nothing is augmented: frames are selected, resized, cropped and scaled, as the backbone's own
library does it, so that features equal those that its authors would have computed.
"""

import numpy as np
import torch
from jaxtyping import Float32, Float64, UInt8
from numpy import ndarray
from torch import Tensor
from torch.nn import functional

from polyspace.data.clips import DecodedClip
from polyspace.data.sampling import sample_indices
from polyspace.models.backbones.protocol import InputSpec


def prepare(clip: DecodedClip, spec: InputSpec) -> Float32[Tensor, "time channel height width"]:
    """Make one clip's input for one backbone."""
    if spec.kind == "motion":
        return _motion(clip, spec)
    frames = clip.frames[sample_indices(clip.seconds, spec.frames)]
    pictures = torch.from_numpy(frames).permute(0, 3, 1, 2)
    return normalise(resize(pictures, spec), spec)


def resize(
    pictures: UInt8[Tensor, "frame 3 height width"], spec: InputSpec
) -> UInt8[Tensor, "frame 3 row column"]:
    """Resize the short side and crop the centre, or squash, to the size that a backbone wants.

    Stays in uint8, where the bilinear filter rounds as torchvision's does: the same filter on
    floats differs by a part of a level in nearly every pixel.
    """
    size = _target(pictures.shape[-2], pictures.shape[-1], spec)
    pictures = functional.interpolate(
        pictures, size, mode="bilinear", align_corners=False, antialias=True
    )
    top, left = (size[0] - spec.height) // 2, (size[1] - spec.width) // 2
    return pictures[..., top : top + spec.height, left : left + spec.width]


def normalise(
    pictures: UInt8[Tensor, "frame channel height width"], spec: InputSpec
) -> Float32[Tensor, "frame channel height width"]:
    """Scale pixel values, subtract the mean, divide by the deviation."""
    mean = torch.tensor(spec.mean).view(-1, 1, 1)
    std = torch.tensor(spec.std).view(-1, 1, 1)
    values = pictures.to(torch.float32, memory_format=torch.contiguous_format)
    return values.mul_(spec.scale).sub_(mean).div_(std)


def temporal_spans(clip: DecodedClip, spec: InputSpec, time: int) -> Float64[ndarray, "time 2"]:
    """Give start and end, in seconds, of what each temporal position of a backbone's tokens saw.

    A position sees its share of the sampled frames, from when the first of them appears until the
    last disappears; of a motion field, it sees an equal part of the whole clip.

    Args:
        clip: The clip that the tokens were computed from.
        spec: The backbone's input.
        time: Temporal positions of its token grid.
    """
    if spec.kind == "motion":
        edges = np.linspace(0.0, clip.duration_seconds, time + 1)
        return np.stack([edges[:-1], edges[1:]], axis=1)
    shown = clip.seconds[sample_indices(clip.seconds, spec.frames)]
    # How long the file's last frame stands; the only display time that a clip knows.
    standing = clip.duration_seconds - clip.seconds[-1]
    shares = np.array_split(shown, time)
    return np.array([(share[0], share[-1] + standing) for share in shares])


def _target(height: int, width: int, spec: InputSpec) -> tuple[int, int]:
    """Give rows and columns to resize to, before the crop."""
    if spec.short_side is None:
        return spec.height, spec.width
    if height <= width:
        return spec.short_side, int(spec.short_side * width / height)
    return int(spec.short_side * height / width), spec.short_side


def _motion(clip: DecodedClip, spec: InputSpec) -> Float32[Tensor, "time channel height width"]:
    """Average the motion field over the cells and steps of a coarser one."""
    assert clip.motion is not None, "decode was not asked for the motion field"
    field = torch.from_numpy(clip.motion).transpose(0, 1)
    pooled = functional.adaptive_avg_pool3d(field, (spec.frames, spec.height, spec.width))
    return pooled.transpose(0, 1).contiguous()

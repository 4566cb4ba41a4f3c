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
from polyspace.data.motion_field import span_edges
from polyspace.data.sampling import sample_indices, wanted_seconds
from polyspace.models.backbones.protocol import InputSpec

Pictures = (
    UInt8[Tensor, "*look time channel height width"]
    | Float32[Tensor, "*look time channel height width"]
)
"""What is carried to a device: bytes of RGB, or a motion field, which is normalised already."""


def prepare(clip: DecodedClip, spec: InputSpec, view: int = 0) -> Pictures:
    """Make one backbone's input of one view of a clip, but for `normalise`."""
    look = clip.views[view]
    if spec.kind == "motion":
        return _motion(clip, spec, view)
    frames = clip.frames[sample_indices(clip.seconds, look, spec.frames)]
    pictures = resize(torch.from_numpy(frames).permute(0, 3, 1, 2), spec, look.place)
    return (pictures.flip(-1) if look.flipped else pictures).contiguous()


def resize(
    pictures: UInt8[Tensor, "frame 3 height width"], spec: InputSpec, place: float = 0.5
) -> UInt8[Tensor, "frame 3 row column"]:
    """Resize the short side and crop a square, or squash, to the size that a backbone wants.

    Stays in uint8, where the bilinear filter rounds as torchvision's does: the same filter on
    floats differs by a part of a level in nearly every pixel.

    Args:
        pictures: At their own size.
        spec: What the backbone wants.
        place: Where along the longer side the crop lies (see `View`); the centre by default.
    """
    rows, columns = _target(pictures.shape[-2], pictures.shape[-1], spec)
    pictures = functional.interpolate(
        pictures, (rows, columns), mode="bilinear", align_corners=False, antialias=True
    )
    top, left = _offset(rows - spec.height, place), _offset(columns - spec.width, place)
    return pictures[..., top : top + spec.height, left : left + spec.width]


def normalise(
    pictures: Pictures, spec: InputSpec
) -> Float32[Tensor, "*look time channel height width"]:
    """Scale pixel values, subtract the mean, divide by the deviation: on the backbone's device."""
    if spec.kind == "motion":
        return pictures
    mean = torch.tensor(spec.mean, device=pictures.device).view(-1, 1, 1)
    std = torch.tensor(spec.std, device=pictures.device).view(-1, 1, 1)
    return pictures.to(torch.float32).mul_(spec.scale).sub_(mean).div_(std)


def temporal_spans(
    clip: DecodedClip, spec: InputSpec, time: int, view: int = 0
) -> Float64[ndarray, "time 2"]:
    """Give start and end, in seconds, of what each temporal position of a backbone's tokens saw.

    A position sees its share of the sampled frames, from when the first of them appears until the
    last disappears; of a motion field, it sees an equal part of the window. One that lies wholly
    past the clip's end saw the last frame again, and nothing of its own: start and end are equal.

    Args:
        clip: The clip that the tokens were computed from.
        spec: The backbone's input.
        time: Temporal positions of its token grid.
        view: Which of the clip's views.
    """
    look, end = clip.views[view], clip.duration_seconds
    if spec.kind == "motion":
        edges = np.minimum(span_edges(look, clip.standing_seconds, time), end)
        return np.stack([edges[:-1], edges[1:]], axis=1)
    wanted = wanted_seconds(look, spec.frames)
    shown = clip.seconds[sample_indices(clip.seconds, look, spec.frames)]
    spans = [(share[0], share[-1] + clip.standing_seconds) for share in np.array_split(shown, time)]
    first = [share[0] for share in np.array_split(wanted, time)]
    return np.array(
        [span if at < end else (end, end) for span, at in zip(spans, first, strict=True)]
    )


def _target(height: int, width: int, spec: InputSpec) -> tuple[int, int]:
    """Give rows and columns to resize to, before the crop."""
    if spec.short_side is None:
        return spec.height, spec.width
    if height <= width:
        return spec.short_side, int(spec.short_side * width / height)
    return int(spec.short_side * height / width), spec.short_side


def _offset(room: int, place: float) -> int:
    """Give where a crop begins; in a side that is no longer than wanted, in the middle."""
    return int(room * place)


def _motion(
    clip: DecodedClip, spec: InputSpec, view: int
) -> Float32[Tensor, "time channel height width"]:
    """Average the motion field over the cells and steps of a coarser one."""
    assert clip.motion is not None, "decode was not asked for the motion field"
    field = torch.from_numpy(clip.motion[view]).transpose(0, 1)
    if clip.views[view].flipped:
        field = torch.cat([-field[:1], field[1:]]).flip(-1)
    pooled = functional.adaptive_avg_pool3d(field, (spec.frames, spec.height, spec.width))
    return pooled.transpose(0, 1).contiguous()

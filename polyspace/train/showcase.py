"""Clips worth looking at: where the fusion was surest, wrongly and rightly, as strips of frames."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from numpy import ndarray

from polyspace.data.clips import DecodedClip
from polyspace.data.preprocess import resize
from polyspace.data.sampling import sample_indices
from polyspace.errors import DatasetError, PolySpaceError, VideoError
from polyspace.files import write_atomically
from polyspace.models.backbones.protocol import InputSpec
from polyspace.models.fusion import Distilled
from polyspace.train import videos
from polyspace.train.sources import StoredClips
from polyspace.train.videos import Videos

COUNT = 6
"""Frames of a strip."""
SIDE = 112
"""Pixels of a frame's longer side at most: as many as the report has room for."""

Rank = Literal["worst", "best"]
Frames = UInt8[ndarray, "frame row column 3"]


@dataclass(frozen=True)
class Chosen:
    """Places of clips among those that were classified, the most telling first."""

    worst: tuple[int, ...]
    """Wrong, and most sure of it."""
    best: tuple[int, ...]
    """Right, and most sure of it."""


@dataclass(frozen=True)
class Shown:
    """One of these clips; its frames, if there are any, lie in the archive under its place."""

    id: str
    group: str
    rank: Rank
    label: int
    said: int
    """The class with the highest chance."""
    chance: float
    """Of that class."""
    true_chance: float
    """Of the true one."""
    view: int
    """Which of the clip's views is shown; the chances are means over all of them."""
    views: int
    frame_seconds: tuple[float, ...]
    """When each frame is shown, from the start of the clip."""
    gates: Mapping[str, tuple[float, ...]]
    """By teacher: how far its gate was open in this view, at every temporal position of the
    student, averaged over the picture."""
    gate_seconds: tuple[tuple[float, float], ...]
    """Start and end of what each of those positions saw."""
    missing: Mapping[str, str]
    """What is absent, and why: frames."""


@dataclass(frozen=True, eq=False)
class Showcase:
    """Clips, and the frames of those whose videos are here."""

    shown: tuple[Shown, ...]
    frames: tuple[Frames | None, ...]
    """In the same order."""


def choose(
    chances: Float[ndarray, "clip label"],
    labels: Int64[ndarray, " clip"],
    groups: tuple[str, ...],
    *,
    count: int = 4,
) -> Chosen:
    """Choose the clips that were surest, wrongly and rightly; at most one a group.

    Of equally sure ones the first is taken. There may be fewer than asked for.

    Args:
        chances: Of the classes.
        labels: The true ones.
        groups: What the clips were cut from: those of one group look alike.
        count: How many of each kind.

    Raises:
        DatasetError: A chance is not a number.
    """
    bad = int((~np.isfinite(chances)).any(axis=1).sum())
    if bad:
        raise DatasetError(
            f"{bad} of {len(chances)} clips have chances that are no numbers: train the fusion "
            f"again, its weights are broken"
        )
    said, sure = chances.argmax(axis=1), chances.max(axis=1)
    right = said == labels
    return Chosen(_surest(sure, ~right, groups, count), _surest(sure, right, groups, count))


def show(
    model: Distilled,
    clips: StoredClips,
    rows: Int64[ndarray, " clip"],
    chances: Float[ndarray, "clip label"],
    chosen: Chosen,
    *,
    root: Path | None,
) -> Showcase:
    """Decode a strip of frames of each chosen clip, and see what the gates did meanwhile.

    Args:
        model: What classified the clips.
        clips: The stored clips.
        rows: The first view of each clip that was classified.
        chances: What was said of these.
        chosen: Places among them.
        root: Folder of the videos; where one isn't found, the reason stands in its place.
    """
    try:
        found: Videos | str = videos.find(clips, root)
    except PolySpaceError as error:
        found = str(error)
    first = [_shown(model, clips, int(rows[n]), chances[n], "worst") for n in chosen.worst]
    last = [_shown(model, clips, int(rows[n]), chances[n], "best") for n in chosen.best]
    return _with_frames(first + last, found)


def save(path: Path, frames: Sequence[Frames | None]) -> None:
    """Write frames as an archive of numpy arrays, each under its place: 0, 1 and so on."""
    arrays = {str(place): strip for place, strip in enumerate(frames) if strip is not None}
    write_atomically(path, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))


def _surest(
    sure: Float[ndarray, " clip"],
    among: Bool[ndarray, " clip"],
    groups: tuple[str, ...],
    count: int,
) -> tuple[int, ...]:
    """Give the places with the highest values, one a group."""
    taken: dict[str, int] = {}
    for place in np.argsort(-sure, kind="stable").tolist():
        if among[place] and len(taken) < count:
            taken.setdefault(groups[place], place)
    return tuple(taken.values())


@torch.no_grad()
def _shown(
    model: Distilled,
    clips: StoredClips,
    row: int,
    chances: Float[ndarray, " label"],
    rank: Rank,
) -> Shown:
    """Say what there is to say of a clip but for its frames: run one view of it."""
    student, view = model.translator.student_name, clips.views // 2
    fused = model.eval()(clips.tokens(student, np.array([row + view])))
    spans = clips.store.seconds(student, np.array([row // clips.views]), view=view)[0]
    label = int(clips.labels[row])
    return Shown(
        id=clips.ids[row],
        group=clips.groups[row],
        rank=rank,
        label=label,
        said=int(chances.argmax()),
        chance=float(chances.max()),
        true_chance=float(chances[label]),
        view=view,
        views=clips.views,
        frame_seconds=(),
        gates={name: tuple(gate[0].mean(-1).tolist()) for name, gate in fused.gates.items()},
        gate_seconds=tuple((float(start), float(end)) for start, end in spans),
        missing={},
    )


def _with_frames(shown: Sequence[Shown], found: Videos | str) -> Showcase:
    """Add each clip's frames, or why there are none."""
    frames, complete = list[Frames | None](), list[Shown]()
    for clip in shown:
        strip = _strip(found, clip)
        if isinstance(strip, str):
            frames.append(None)
            complete.append(replace(clip, missing={"frames": strip}))
        else:
            frames.append(strip[0])
            complete.append(replace(clip, frame_seconds=strip[1]))
    return Showcase(tuple(complete), tuple(frames))


def _strip(found: Videos | str, shown: Shown) -> tuple[Frames, tuple[float, ...]] | str:
    """Decode a clip's frames and say when they are shown, or why there are none."""
    if isinstance(found, str):
        return found
    try:
        return _small(found.decode(shown.id, [_spec(SIDE, SIDE)]), shown.view)
    except VideoError as error:
        return str(error)


def _small(clip: DecodedClip, view: int) -> tuple[Frames, tuple[float, ...]]:
    """Take frames evenly from a view, and make them small."""
    look = clip.views[view]
    places = sample_indices(clip.seconds, look, COUNT)
    pictures = torch.from_numpy(clip.frames[places]).permute(0, 3, 1, 2)
    pictures = pictures.flip(-1) if look.flipped else pictures
    rows, columns = pictures.shape[-2:]
    scale = min(1.0, SIDE / max(rows, columns))
    small = _spec(max(1, round(rows * scale)), max(1, round(columns * scale)))
    strip = resize(pictures, small).permute(0, 2, 3, 1).contiguous().numpy()
    return strip, tuple(clip.seconds[places].tolist())


def _spec(height: int, width: int) -> InputSpec:
    """Ask for frames of a size, whatever that does to their shape."""
    return InputSpec(kind="frames", frames=COUNT, height=height, width=width)

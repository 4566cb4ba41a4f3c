"""A bundle that answers: features, frames or videos in, the chances of the classes out."""

import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, islice
from typing import Any, NamedTuple

import torch
from jaxtyping import Float32
from numpy import ndarray
from torch import Tensor

from polyspace.data.clips import DecodedClip
from polyspace.data.prefetch import Decoded, decode_all
from polyspace.errors import InputError, PrecisionError, VideoError
from polyspace.export.contents import CARD
from polyspace.export.loading import Opened
from polyspace.inference import gathering, inputs
from polyspace.inference.gathering import Video
from polyspace.inference.student import Student
from polyspace.precision import Precision

LOOKS = 64
"""Looks at clips that the model takes at a time: memory doesn't grow with what is given."""
CLIPS = 8
"""Clips whose frames the student sees at a time."""


class Guess(NamedTuple):
    """A class, and how likely the model takes it to be."""

    name: str
    probability: float


@dataclass(frozen=True, eq=False)
class Watched:
    """What came of one video."""

    video: Video
    result: Float32[Tensor, " label"] | VideoError
    """Chances of the classes, or why there are none."""


class Predictor:
    """A bundle that was verified and is ready to answer; `polyspace.load` gives one.

    Called with features or frames it gives the chances of the classes [clip label], float32, on
    the CPU. A clip that is looked at several times gets the mean of its looks' softmaxes, as in
    every evaluation.
    """

    def __init__(self, opened: Opened, student: Student) -> None:
        self.folder = opened.folder
        self.config: Mapping[str, Any] = opened.config
        self.kind, self.entry = opened.kind, opened.entry
        self.class_names = opened.class_names
        self.precision: Precision = opened.loaded.precision
        """What it computes in, and why."""
        self.quantization_info: Mapping[str, Any] = opened.config["quantization_info"]
        """What its weights are stored in, and what rounding made of them."""
        self.student = student
        self._run, self.module = opened.loaded.run, opened.loaded.module

    def __repr__(self) -> str:
        """Say what it is."""
        return (
            f"Predictor({str(self.folder)!r}: {self.kind}, {self.student.name} {self.entry} to "
            f"{len(self.class_names)} classes, {self.precision.reason})"
        )

    @cached_property
    def card(self) -> str:
        """Give the bundle's model card, Markdown; empty where it has none."""
        path = self.folder / CARD
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    def __call__(
        self, given: Tensor | ndarray, *, rate_hz: float | None = None
    ) -> Float32[Tensor, "clip label"]:
        """Give the chances of the classes for features, or for frames, which are uint8.

        Raises:
            InputError: It is neither, or of another shape.
        """
        values = inputs.as_tensor(given)
        if values.dtype == torch.uint8:
            return self.frames(values, rate_hz=rate_hz)
        if values.is_floating_point():
            return self.features(values)
        raise InputError(f"found {values.dtype}: {inputs.TAKEN}")

    def features(self, given: Tensor | ndarray) -> Float32[Tensor, "clip label"]:
        """Give the chances of the classes for the student's features.

        Args:
            given: [clip time space dim] or [clip view time space dim], in float32, float16 or
                bfloat16, as a store keeps them; the views' softmaxes are averaged.

        Raises:
            InputError: They are of another shape or type, not finite, or not what this bundle
                starts from.
        """
        if self.entry != "tokens":
            raise InputError(
                f"found features, and this bundle starts from {self.entry}: give frames (uint8, "
                f"{inputs.FRAME_AXES}), or export with --entry tokens"
            )
        student = self.student
        views = inputs.as_features(inputs.as_tensor(given), student.tokens, student.name)
        return self._chances(views.flatten(0, 1), views.shape[1])

    def frames(
        self, given: Tensor | ndarray, *, rate_hz: float | None = None
    ) -> Float32[Tensor, "clip label"]:
        """Give the chances of the classes for pictures.

        They are taken for the whole clip: sampled evenly, resized and cropped as the features'
        extraction did. The student is loaded when it is first needed.

        Args:
            given: uint8 RGB [clip frames height width 3] of any size and number, or one clip
                without the first axis.
            rate_hz: Frames a second; needed only where the model looks at windows of some seconds.

        Raises:
            InputError: They are of another shape or type, or the student needs more than pictures.
            WeightsError: The student's weights are not here.
        """
        clips = inputs.as_frames(inputs.as_tensor(given))
        parts = [
            self._of_clips([self.student.clip(frames, rate_hz) for frames in part])
            for part in torch.split(clips, CLIPS)
            if len(part)
        ]
        return torch.cat(parts) if parts else self._nothing()

    def videos(
        self, paths: Iterable[str | os.PathLike[str]], *, processes: int = 2
    ) -> list[Float32[Tensor, " label"] | VideoError]:
        """Give the chances of the classes for each of some video files, in their order.

        They are decoded in contained processes. One that can't be read leaves its `VideoError` in
        its place, and nothing else.

        Args:
            paths: Files; a folder stands for all videos in it (see `gathering.gather`).
            processes: How many decode at a time; 0: one, and only when its turn comes.
        """
        return [seen.result for seen in self.watch(gathering.gather(paths), processes=processes)]

    def watch(
        self, videos: Sequence[Video], *, processes: int = 2, batch: int = CLIPS
    ) -> Generator[Watched]:
        """Answer for one video after the other while others are decoded ahead.

        Args:
            videos: The files.
            processes: How many decode at a time.
            batch: Clips that the student sees at a time.
        """
        ahead = processes + batch
        with closing(self._decoded(videos, processes, ahead)) as decoded:
            while part := list(islice(decoded, batch)):
                clips = [clip for _, clip in part if isinstance(clip, DecodedClip)]
                chances = iter(self._of_clips(clips)) if clips else iter(())
                for video, clip in part:
                    bad = isinstance(clip, VideoError)
                    yield Watched(video, _placed(clip, video) if bad else next(chances))

    def top(
        self, given: Tensor | ndarray, k: int = 5, *, rate_hz: float | None = None
    ) -> list[list[Guess]]:
        """Name the likeliest classes of each clip, the likeliest first.

        Args:
            given: Features or frames.
            k: How many; all, where there are fewer.
            rate_hz: As for `frames`.
        """
        return [self.likeliest(row, k) for row in self(given, rate_hz=rate_hz)]

    def likeliest(self, chances: Float32[Tensor, " label"], k: int = 5) -> list[Guess]:
        """Name the likeliest classes of one clip."""
        values, places = chances.topk(min(k, len(self.class_names)))
        names = [self.class_names[place] for place in places.tolist()]
        return [Guess(name, value) for name, value in zip(names, values.tolist(), strict=True)]

    def _decoded(
        self, videos: Sequence[Video], processes: int, ahead: int
    ) -> Generator[tuple[Video, Decoded]]:
        """Decode files, those of one root side by side."""
        for root, part in groupby(videos, key=lambda video: video.root):
            listed = list(part)
            asked = (self.student.request(video.path) for video in listed)
            with closing(decode_all(root, asked, processes=processes, ahead=ahead)) as decoded:
                yield from zip(listed, decoded, strict=True)

    def _of_clips(self, clips: Sequence[DecodedClip]) -> Float32[Tensor, "clip label"]:
        return self._chances(self.student.looks(clips), len(clips[0].views))

    def _chances(self, looks: Tensor, views: int) -> Float32[Tensor, "clip label"]:
        """Answer for every look, and average over those of a clip.

        Raises:
            PrecisionError: An answer is not a number.
        """
        if not len(looks):
            return self._nothing()
        logits = torch.cat([self._run(part) for part in torch.split(looks, LOOKS)])
        if not bool(torch.isfinite(logits).all()):
            raise PrecisionError(
                f"{self.folder} gave answers that are not finite, computing in "
                f"{self.precision.compute}: load it with compute='fp32'"
            )
        return logits.unflatten(0, (-1, views)).softmax(-1).mean(1)

    def _nothing(self) -> Float32[Tensor, "clip label"]:
        return torch.empty(0, len(self.class_names))


def _placed(error: VideoError, video: Video) -> VideoError:
    """Name the file by its whole path: several folders may hold one of its name."""
    words = error.message.removeprefix(f"{video.path}: ")
    return VideoError(f"{video.file}: {words}", error.reason)

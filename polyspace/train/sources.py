"""Where training gets tokens from: a feature store, which videos are turned into first."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from jaxtyping import Float32, Int64
from numpy import ndarray
from pydantic import Field
from torch import Tensor

from polyspace import console
from polyspace.config import Config
from polyspace.console import Advance
from polyspace.data import featurize
from polyspace.data.featurize import FeaturizeConfig
from polyspace.errors import LabelError, StoreError
from polyspace.models.grids import TokenShape
from polyspace.store.order import Window
from polyspace.store.reader import FeatureStore, find_store


class StoredClips:
    """Labelled clips, and some backbones' tokens of them on the device that training runs on.

    They are read from a feature store, so memory does not grow with their number. A row is one view
    of a clip: all views of the first clip, all views of the second, … Training takes each for a
    clip of its own; `Predictions.over_views` brings together what was said of them.
    """

    def __init__(self, store: FeatureStore, device: torch.device) -> None:
        self.store, self.device = store, device
        self.dataset, self.split = store.dataset, store.split
        self.views = max(spec.views for spec in store.backbones.values())
        self.class_names, self.labels = store.class_names, np.repeat(store.labels, self.views)
        self.ids, self.groups = self._of_views(store.ids), self._of_views(store.groups)
        self.fingerprint = store.fingerprint

    @property
    def student(self) -> str:
        """Name the backbone that the store was extracted for as the student.

        Raises:
            StoreError: There are several.
        """
        named = [n for n, s in self.store.backbones.items() if s.role == "student"]
        if len(named) != 1:
            raise StoreError(
                f"{self.store.path} has {' and '.join(named) or 'no backbone'} as student: "
                f"say --student, one of {', '.join(self.store.backbones)}"
            )
        return named[0]

    @classmethod
    def find(
        cls, where: Path, *, dataset: str | None, split: str, device: torch.device
    ) -> "StoredClips":
        """Open the store of one split, given as itself or as the folder that holds it."""
        return cls(FeatureStore.open(find_store(where, dataset, split)), device)

    def rows(self, backbones: tuple[str, ...]) -> Int64[ndarray, " row"]:
        """Give the rows that all of these backbones have seen."""
        first = self.store.rows(backbones) * self.views
        return (first[:, None] + np.arange(self.views)).reshape(-1)

    def window(self, backbones: Sequence[str]) -> Window | None:
        """Say inside of what to shuffle, where reading every row by itself would be dear."""
        window = self.store.window(backbones)
        return window and replace(window, clips_per_chunk=window.clips_per_chunk * self.views)

    def shape(self, backbone: str) -> TokenShape:
        """Give the shape of one clip's stored tokens."""
        self.store.rows([backbone])  # raises, with the remedy, where the store doesn't hold it
        spec = self.store.backbones[backbone]
        return TokenShape(spec.time, spec.space, spec.dim)

    def weights(self, backbone: str) -> Mapping[str, Any]:
        """Say what the store recorded of the backbone's weights."""
        self.store.rows([backbone])
        return self.store.backbones[backbone].provenance["weights"]

    def tokens(
        self, backbone: str, rows: Int64[ndarray, " clip"]
    ) -> Float32[Tensor, "clip time space dim"]:
        """Read tokens."""
        clips, views = np.divmod(rows, self.views)
        if self.views == 1:
            return self.store.tokens(backbone, clips, device=self.device)
        spec = self.store.backbones[backbone]
        shape = len(rows), spec.time, spec.space, spec.dim
        found = torch.empty(shape, device=self.device)
        for view in np.unique(views).tolist():
            where = np.flatnonzero(views == view)
            seen = self.store.tokens(backbone, clips[where], device=self.device, view=view)
            found[torch.from_numpy(where).to(self.device)] = seen
        return found

    def _of_views(self, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(value for value in values for _ in range(self.views))


class SourceSettings(Config):
    """Where the student's features come from."""

    dataset: str
    """Data set."""
    root: Path
    """Folder of the videos; with --use_cached_features, of the feature stores."""
    student: str
    """Backbone whose features are translated."""
    use_cached_features: bool = False
    """Read features from a store; without, the student runs over the videos first."""
    cached_features_path: Path | None = None
    """The stores' folder, where it isn't --root."""
    features_fp16: bool = False
    """Not needed, a store knows its types; accepted, and checked against what it says."""
    frames: Annotated[int, Field(ge=1)] = 16
    """Frames that the student sees of a clip, where its architecture leaves the choice."""
    workers: Annotated[int, Field(ge=0)] = 2
    """Processes that decode videos."""
    weights: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """NAME=FOLDER, where a backbone's weights lie; NAME=random-tiny for a trial."""


def open_clips(
    settings: SourceSettings, *, split: str, device: torch.device, scratch: Path
) -> Generator[Advance, None, StoredClips]:
    """Open the features of a split; from videos, let the student make them first.

    Videos are decoded once, into a store under `scratch`, and training reads that: the same
    numbers as from cached features, whatever the number of epochs.
    """
    where = settings.cached_features_path or settings.root
    if not settings.use_cached_features:
        extraction = FeaturizeConfig(
            dataset=settings.dataset,
            root=settings.root,
            split=(split,),
            student=settings.student,
            teachers=(),
            out=scratch,
            frames=settings.frames,
            workers=settings.workers,
            weights=settings.weights,
        )
        yield from featurize.run(extraction)
        where = scratch
    clips = StoredClips.find(where, dataset=settings.dataset, split=split, device=device)
    clips.shape(settings.student)  # raises where the store is of another backbone
    return clips


def answer_fp16(settings: SourceSettings, clips: StoredClips) -> None:
    """Say in one line, to those who give the flag, what the store says of its type."""
    if settings.features_fp16:
        stored = clips.store.backbones[settings.student].dtype
        console.say(f"--features_fp16 is not needed: the store itself says {stored}")


def class_names(clips: StoredClips, classes: int) -> tuple[str, ...]:
    """Give as many class names as there are classes; ones that the data set lacks get numbers.

    Raises:
        LabelError: The data set has labels outside of them.
    """
    outside = clips.labels >= classes
    if outside.any():
        raise LabelError(
            f"--classes {classes}, but {int(outside.sum())} clips of {clips.dataset} have a label "
            f"outside 0..{classes - 1} (highest {int(clips.labels.max())}): "
            f"use --classes {len(clips.class_names)}"
        )
    known = clips.class_names[:classes]
    return known + tuple(f"class_{number}" for number in range(len(known), classes))
